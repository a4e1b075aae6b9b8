/** @file Parameters as tensors of a graph, looked up by the part of the decoder that they belong to. */
import type { Graph, Tensor } from '../graph/index.ts'
import { type Architecture, type Module, type Parameter, parametersOf } from '../model/index.ts'

/** Parameters of a decoder as tensors of a graph, by their transformers names. */
export type ParameterTensors = ReadonlyMap<string, Tensor>

/** Adds an input for each parameter. */
export function parameterInputs(
  graph: Graph,
  parameters: readonly Parameter[],
  prefix = '',
): ParameterTensors {
  return new Map(
    parameters.map(({ name, shape }) => [name, graph.input(`${prefix}${name}`, { dtype: 'float32', shape })]),
  )
}

/** The tensors of a module. */
export interface ModuleTensors {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
  /** The weight is (in, out). */
  readonly transposed: boolean
}

/** The modules of a decoder, those of layers with the layer's number. */
export interface Modules {
  /** Undefined for a module that the decoder does not have. */
  find(module: Module, layer?: number): ModuleTensors | undefined
  /** A missing one is a bug of the caller. */
  need(module: Module, layer?: number): ModuleTensors
}

/** Looks the modules of a decoder up among its parameters. */
export function moduleTensors(a: Architecture, parameters: ParameterTensors): Modules {
  const keyOf = (module: Module, layer: number | undefined) => `${module} ${layer ?? ''}`
  const found = new Map<string, ModuleTensors>()
  for (const { name, module, layer, part, transposed } of parametersOf(a)) {
    const tensor = parameters.get(name)
    if (tensor === undefined) throw new TypeError(`no parameter ${name}`)
    const key = keyOf(module, layer)
    // a weight comes before its bias
    const known = found.get(key)
    found.set(
      key,
      part === 'bias' ? { ...known!, bias: tensor } : { weight: tensor, bias: undefined, transposed },
    )
  }
  const find: Modules['find'] = (module, layer) => found.get(keyOf(module, layer))
  return {
    find,
    need(module, layer) {
      const tensors = find(module, layer)
      if (tensors === undefined) throw new TypeError(`no module ${module} in layer ${layer ?? 'none'}`)
      return tensors
    },
  }
}
