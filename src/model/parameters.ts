/** @file The parameters of an architecture: names and shapes as in transformers, counts, first values. */
import type { Architecture } from './architecture.ts'
import { trainingOf } from './families.ts'
import { type Module, moduleName, parameterNameOf } from './names.ts'
import { normals } from './random.ts'

/** What a parameter is, which decides its first values and what an optimizer does with it. */
export type ParameterKind = 'embedding' | 'matrix' | 'residual' | 'norm' | 'bias'

/** One parameter tensor, as it lies in a Hugging Face folder: name, shape and layout are those of transformers. */
export interface Parameter {
  /** The name that transformers gives it. */
  readonly name: string
  readonly shape: readonly number[]
  readonly kind: ParameterKind
  /** The part of the decoder that it belongs to: its weight, or its bias where `kind` is `bias` or `part` says so. */
  readonly module: Module
  readonly part: 'weight' | 'bias'
  /** Layer, from 0; undefined for what is in none. */
  readonly layer: number | undefined
  /** Matrices are (out, in) as in torch.nn.Linear, or (in, out) where this is true, as in Conv1D of transformers. */
  readonly transposed: boolean
}

/** All parameters, embeddings first, in the order of the forward pass. */
export function parametersOf(a: Architecture): readonly Parameter[] {
  const layers = Array.from({ length: a.layers }, (_, layer) => layerParameters(a, layer))
  const { embedding, positions, finalNorm, head } = outerParameters(a)
  return [...embedding, ...positions, ...layers.flat(), ...finalNorm, ...head]
}

/** Makes the parameters of modules, in one layer or in none. */
function modulesOf(a: Architecture, layer: number | undefined) {
  const { names } = trainingOf(a.family)
  const parameter = (
    module: Module,
    part: Parameter['part'],
    kind: ParameterKind,
    shape: number[],
    transposed = false,
  ): Parameter => ({
    name: `${moduleName(names, module, layer)}.${part}`,
    shape,
    kind,
    module,
    part,
    layer,
    transposed,
  })
  return {
    has: (module: Module) => names.modules[module] !== undefined,
    table: (module: Module, rows: number) => [parameter(module, 'weight', 'embedding', [rows, a.hiddenSize])],
    norm: (module: Module, size = a.hiddenSize) => [
      parameter(module, 'weight', 'norm', [size]),
      ...(a.normVectors === 2 ? [parameter(module, 'bias', 'bias', [size])] : []),
    ],
    linear: (module: Module, kind: 'matrix' | 'residual', out: number, from: number, bias: boolean) => [
      parameter(module, 'weight', kind, names.transposed ? [from, out] : [out, from], names.transposed),
      ...(bias ? [parameter(module, 'bias', 'bias', [out])] : []),
    ],
  }
}

function outerParameters(a: Architecture) {
  const { table, norm } = modulesOf(a, undefined)
  return {
    embedding: table('embedding', a.vocabularySize),
    positions: a.positions === 0 ? [] : table('positions', a.positions),
    finalNorm: norm('finalNorm'),
    head: a.tiedEmbeddings ? [] : table('head', a.vocabularySize),
  }
}

function layerParameters(a: Architecture, layer: number): Parameter[] {
  const { hiddenSize, intermediateSize, biases, attention, normPlacement } = a
  const { has, norm, linear } = modulesOf(a, layer)
  const before = normPlacement !== 'after'
  const after = normPlacement !== 'before'
  const queries = attention.heads * attention.headSize
  const keys = attention.keyValueHeads * attention.headSize
  const inward = (module: Module, out: number, bias: boolean) =>
    linear(module, 'matrix', out, hiddenSize, bias)
  const heads = has('queryKeyValue')
    ? inward('queryKeyValue', queries + 2 * keys, biases.queryKeyValue)
    : [
        ...inward('query', queries, biases.queryKeyValue),
        ...inward('key', keys, biases.queryKeyValue),
        ...inward('value', keys, biases.queryKeyValue),
      ]
  const normed = a.queryKeyNorm === 'head' ? [attention.headSize, attention.headSize] : [queries, keys]
  const up = !a.gated
    ? inward('up', intermediateSize, biases.mlp)
    : has('gateUp')
      ? inward('gateUp', 2 * intermediateSize, biases.mlp)
      : [...inward('gate', intermediateSize, biases.mlp), ...inward('up', intermediateSize, biases.mlp)]
  return [
    ...(before ? norm('attentionNorm') : []),
    ...heads,
    ...(a.queryKeyNorm === false ? [] : [...norm('queryNorm', normed[0]), ...norm('keyNorm', normed[1])]),
    ...linear('attentionOutput', 'residual', hiddenSize, queries, biases.output),
    ...(after ? norm('afterAttentionNorm') : []),
    ...(before ? norm('mlpNorm') : []),
    ...up,
    ...linear('down', 'residual', hiddenSize, intermediateSize, biases.mlp),
    ...(after ? norm('afterMlpNorm') : []),
  ]
}

/** Number of trained values, tied embeddings counted once. */
export function parameterCount(a: Architecture): number {
  return parametersOf(a).reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0)
}

/**
 * What each tensor of a folder is to an architecture: the name of the parameter that it holds, its own name where it
 * holds none, undefined where it is passed over, as a tied output matrix is.
 */
export function tensorNames(a: Architecture): (tensor: string) => string | undefined {
  const { names } = trainingOf(a.family)
  const known = new Set(parametersOf(a).map(({ name }) => name))
  const head = names.modules.head!
  return (tensor) => {
    const name = parameterNameOf(names, tensor, (one) => known.has(one))
    const isHead = tensor === `${head}.weight` || tensor.endsWith(`.${head}.weight`)
    return a.tiedEmbeddings && isHead ? undefined : name
  }
}

/**
 * First values of a parameter, depending on the seed and the parameter's name alone. Normal with the
 * architecture's standard deviation; matrices that write to the residual stream are divided by
 * sqrt(2 layers), so that the stream's variance does not grow with depth (Radford et al. 2019).
 */
export function initialValues(a: Architecture, parameter: Parameter, seed: number): Float32Array {
  const values = new Float32Array(parameter.shape.reduce((n, size) => n * size, 1))
  switch (parameter.kind) {
    case 'norm':
      return values.fill(1 - a.normOffset)
    case 'bias':
      return values
    case 'residual':
      return normals(values, a.initializerRange / Math.sqrt(2 * a.layers), seed, parameter.name)
    case 'embedding':
    case 'matrix':
      return normals(values, a.initializerRange, seed, parameter.name)
  }
}
