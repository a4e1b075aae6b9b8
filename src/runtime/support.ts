/** @file What each runtime has kernels for, from measurements and published lists, and the coverage of a graph by it. */
import {
  type DType,
  type Graph,
  isHalf,
  type Lowered,
  type LoweredNode,
  lower,
  type OnnxOperator,
} from '../graph/index.ts'
import type { ProviderName } from './names.ts'

/** Element types of an operator's data: of the first input, for `Where` of the second. */
type Types = readonly DType[]

interface Support {
  /** Where the lists are from. */
  readonly source: string
  readonly operators: { readonly [O in OnnxOperator]: Types }
  /** Types that `Cast` converts to, by the type that it converts from. */
  readonly casts: { readonly [D in DType]?: Types }
  /** Types that need something of the device, and what. */
  readonly needs: { readonly [D in DType]?: string }
  /** Why a node is not taken although its operator and type are; undefined when it is. */
  readonly refuses?: (
    node: LoweredNode,
    lowered: Lowered,
    constants: ReadonlySet<string>,
  ) => string | undefined
}

const FLOAT: Types = ['float32', 'float16']
const FLOATS: Types = ['float32', 'float16', 'bfloat16']
const INTEGERS: Types = ['int32', 'int64']
const CPU_NUMBERS: Types = [...FLOAT, ...INTEGERS]
const ALL: Types = [...FLOATS, ...INTEGERS, 'bool']
const GPU_NUMBERS: Types = [...FLOAT, 'int32']
const CUDA_NUMBERS: Types = [...FLOATS, ...INTEGERS]

/** Casts between all of the types. */
function anyCast(types: Types): Support['casts'] {
  return Object.fromEntries(types.map((from) => [from, types]))
}

const SUPPORT: { readonly [R in ProviderName]: Support } = {
  cpu: {
    source:
      'measured with ONNX Runtime 1.30.0 on x64 (scripts/measure-support.ts); float16 is computed in float32 between casts that it inserts',
    operators: {
      Abs: CPU_NUMBERS,
      Add: CPU_NUMBERS,
      Cast: ALL,
      Concat: ALL,
      Div: CPU_NUMBERS,
      Equal: [...CPU_NUMBERS, 'bool'],
      Erf: FLOAT,
      Exp: FLOAT,
      Expand: [...CPU_NUMBERS, 'bool'],
      Gather: ALL,
      GatherElements: ALL,
      Gemm: FLOAT,
      Greater: CPU_NUMBERS,
      Identity: ALL,
      Less: CPU_NUMBERS,
      Log: FLOAT,
      MatMul: CPU_NUMBERS,
      Max: CPU_NUMBERS,
      Min: CPU_NUMBERS,
      Mul: CPU_NUMBERS,
      Neg: CPU_NUMBERS,
      Pow: CPU_NUMBERS,
      Reciprocal: FLOAT,
      ReduceMax: CPU_NUMBERS,
      ReduceMean: CPU_NUMBERS,
      ReduceSum: CPU_NUMBERS,
      ReduceSumSquare: CPU_NUMBERS,
      Relu: CPU_NUMBERS,
      Reshape: ALL,
      ScatterElements: ALL,
      Sigmoid: FLOAT,
      Slice: ALL,
      Softmax: FLOAT,
      Split: ALL,
      Sqrt: FLOAT,
      Sub: CPU_NUMBERS,
      Tanh: FLOAT,
      Transpose: ALL,
      Where: CPU_NUMBERS,
    },
    casts: anyCast(ALL),
    needs: {},
    refuses: (node, { types }) => {
      if (node.opType !== 'ScatterElements' || reductionOf(node) === 'none') return undefined
      const dtype = types.get(node.inputs[0]!)!
      return isHalf(dtype) ? `adding in ${dtype} fails at run time` : undefined
    },
  },
  webgpu: {
    source:
      'measured with ONNX Runtime 1.30.0 (scripts/measure-support.ts): float32, int32, int64 and bool on a software Vulkan device, float32 and float16 on an NVIDIA H100 through Vulkan; float16 needs shader-f16 of the device',
    operators: {
      Abs: FLOAT,
      Add: GPU_NUMBERS,
      Cast: [...FLOAT, 'int32', 'bool'],
      Concat: GPU_NUMBERS,
      Div: GPU_NUMBERS,
      Equal: GPU_NUMBERS,
      Erf: FLOAT,
      Exp: FLOAT,
      Expand: [...GPU_NUMBERS, 'bool'],
      Gather: [...GPU_NUMBERS, 'bool'],
      GatherElements: FLOAT,
      Gemm: GPU_NUMBERS,
      Greater: GPU_NUMBERS,
      Identity: GPU_NUMBERS,
      Less: GPU_NUMBERS,
      Log: FLOAT,
      MatMul: FLOAT,
      Max: GPU_NUMBERS,
      Min: GPU_NUMBERS,
      Mul: GPU_NUMBERS,
      Neg: FLOAT,
      Pow: GPU_NUMBERS,
      Reciprocal: FLOAT,
      ReduceMax: GPU_NUMBERS,
      ReduceMean: GPU_NUMBERS,
      ReduceSum: GPU_NUMBERS,
      ReduceSumSquare: GPU_NUMBERS,
      Relu: FLOAT,
      Reshape: [...GPU_NUMBERS, 'bool'],
      ScatterElements: GPU_NUMBERS,
      Sigmoid: FLOAT,
      Slice: FLOAT,
      Softmax: FLOAT,
      Split: GPU_NUMBERS,
      Sqrt: FLOAT,
      Sub: GPU_NUMBERS,
      Tanh: FLOAT,
      Transpose: GPU_NUMBERS,
      Where: [...GPU_NUMBERS, 'bool'],
    },
    casts: {
      float32: [...FLOAT, 'int32', 'bool'],
      float16: [...FLOAT, 'int32', 'bool'],
      int32: [...FLOAT, 'int32', 'bool'],
      bool: [...FLOAT, 'int32', 'bool'],
    },
    needs: { float16: 'a device with shader-f16' },
    refuses: (node, { types }) =>
      node.opType === 'ScatterElements' &&
      reductionOf(node) !== 'none' &&
      types.get(node.inputs[0]!) === 'float16'
        ? 'there are no atomic additions of float16'
        : undefined,
  },
  cuda: {
    source:
      'docs/OperatorKernels.md of microsoft/onnxruntime at 8f063305, where it does not name an operator the standard types of ONNX; not run here',
    operators: {
      Abs: [...FLOAT, ...INTEGERS],
      Add: CUDA_NUMBERS,
      Cast: ALL,
      Concat: ALL,
      Div: CUDA_NUMBERS,
      Equal: [...FLOAT, ...INTEGERS, 'bool'],
      Erf: FLOAT,
      Exp: FLOAT,
      Expand: ALL,
      Gather: ALL,
      GatherElements: ALL,
      Gemm: FLOATS,
      Greater: [...FLOAT, ...INTEGERS],
      Identity: ALL,
      Less: [...FLOAT, ...INTEGERS],
      Log: FLOAT,
      MatMul: FLOATS,
      Max: CUDA_NUMBERS,
      Min: CUDA_NUMBERS,
      Mul: CUDA_NUMBERS,
      Neg: [...FLOAT, ...INTEGERS],
      Pow: [...FLOAT, ...INTEGERS],
      Reciprocal: FLOAT,
      ReduceMax: [...FLOAT, ...INTEGERS],
      ReduceMean: [...FLOAT, 'int32'],
      ReduceSum: CUDA_NUMBERS,
      ReduceSumSquare: FLOAT,
      Relu: FLOATS,
      Reshape: ALL,
      ScatterElements: ALL,
      Sigmoid: FLOATS,
      Slice: ALL,
      Softmax: FLOATS,
      Split: ALL,
      Sqrt: FLOAT,
      Sub: CUDA_NUMBERS,
      Tanh: FLOATS,
      Transpose: ALL,
      Where: ALL,
    },
    casts: anyCast(ALL),
    needs: { bfloat16: 'compute capability 8.0 or newer' },
  },
  cann: {
    source:
      "the provider's list of operators (cann_graph.cc of microsoft/onnxruntime at 0fc067a1) and those that CANN's ONNX parser registers for opset 18 (hicann/ops-math at c4193324, hicann/ops-nn at e5c3fa93); neither restricts element types, so the standard types of ONNX are taken; not run here",
    operators: {
      Abs: [...FLOATS, ...INTEGERS],
      Add: CUDA_NUMBERS,
      Cast: ALL,
      Concat: ALL,
      Div: CUDA_NUMBERS,
      Equal: ALL,
      Erf: FLOATS,
      Exp: FLOATS,
      Expand: ALL,
      Gather: ALL,
      GatherElements: ALL,
      Gemm: FLOATS,
      Greater: CUDA_NUMBERS,
      Identity: ALL,
      Less: CUDA_NUMBERS,
      Log: FLOATS,
      MatMul: FLOATS,
      Max: CUDA_NUMBERS,
      Min: CUDA_NUMBERS,
      Mul: CUDA_NUMBERS,
      Neg: CUDA_NUMBERS,
      Pow: CUDA_NUMBERS,
      Reciprocal: FLOATS,
      ReduceMax: CUDA_NUMBERS,
      ReduceMean: CUDA_NUMBERS,
      ReduceSum: CUDA_NUMBERS,
      ReduceSumSquare: FLOATS,
      Relu: FLOATS,
      Reshape: ALL,
      ScatterElements: ALL,
      Sigmoid: FLOATS,
      Slice: ALL,
      Softmax: FLOATS,
      Split: ALL,
      Sqrt: FLOATS,
      Sub: CUDA_NUMBERS,
      Tanh: FLOATS,
      Transpose: ALL,
      Where: ALL,
    },
    casts: anyCast(ALL),
    needs: { bfloat16: 'an Ascend 910B or newer' },
    refuses: (node, _, constants) => {
      if (node.inputs.every((name) => constants.has(name)))
        return 'the provider leaves nodes whose inputs are all constants to the host'
      if (node.opType === 'ScatterElements' && reductionOf(node) !== 'none')
        return 'releases differ in whether they keep the reduction: one that drops it overwrites where it should add'
      return undefined
    },
  },
}

function reductionOf(node: LoweredNode): string {
  const reduction = node.attributes?.reduction
  return reduction?.kind === 'string' ? reduction.value : 'none'
}

/** A node that a runtime does not take. */
export interface UnsupportedNode {
  /** Name in the file, which starts with the part of the model that it belongs to. */
  readonly name: string
  readonly opType: OnnxOperator
  readonly dtype: DType
  readonly reason: string
  /** Where ONNX Runtime would run it all the same: what the device has a faulty kernel for does not go to the host. */
  readonly wouldRunOn: 'host' | 'device'
}

/** How much of a graph a runtime takes. */
export interface Coverage {
  readonly nodes: number
  readonly unsupported: readonly UnsupportedNode[]
  /** What a device must offer for the types of the graph. */
  readonly needs: readonly string[]
}

/** Where the tables of a runtime are from, and what of them was measured. */
export function supportSource(runtime: ProviderName): string {
  return SUPPORT[runtime].source
}

/** What a runtime's device must offer for an element type; undefined where every device has it. */
export function needOf(runtime: ProviderName, dtype: DType): string | undefined {
  return SUPPORT[runtime].needs[dtype]
}

/** Asks the tables which nodes of a graph, as it is written, a runtime takes. No device is needed. */
export function coverage(graph: Graph, runtime: ProviderName): Coverage {
  const support = SUPPORT[runtime]
  const lowered = lower(graph)
  const { nodes, types, initializers } = lowered
  const constants = new Set(initializers.map(({ name }) => name))
  const needs = new Set<string>()
  const unsupported = nodes.flatMap((node): UnsupportedNode[] => {
    const dtype = types.get(node.inputs[node.opType === 'Where' ? 1 : 0]!)!
    for (const name of [...node.inputs, ...node.outputs]) {
      const need = support.needs[types.get(name)!]
      if (need !== undefined) needs.add(need)
    }
    const lacks = typeReason(support, node, dtype, types)
    const reason = lacks ?? support.refuses?.(node, lowered, constants)
    const wouldRunOn = lacks === undefined ? 'device' : 'host'
    return reason === undefined ? [] : [{ name: node.name, opType: node.opType, dtype, reason, wouldRunOn }]
  })
  return { nodes: nodes.length, unsupported, needs: [...needs] }
}

function typeReason(
  { operators, casts }: Support,
  { opType, outputs }: LoweredNode,
  dtype: DType,
  types: ReadonlyMap<string, DType>,
): string | undefined {
  if (!operators[opType].includes(dtype)) return `no kernel for ${dtype}`
  if (opType !== 'Cast') return undefined
  const to = types.get(outputs[0]!)!
  return casts[dtype]?.includes(to) ? undefined : `no conversion from ${dtype} to ${to}`
}
