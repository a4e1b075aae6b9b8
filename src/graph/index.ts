/** @file Tensors and operations: what the other rooms and the library's users see of the graph. */
export * from './build.ts'
export { type Cost, costOf, graphCost } from './cost.ts'
export {
  byteLength,
  DTYPE_BYTES,
  type DType,
  elements,
  type HalfType,
  isFloat,
  isHalf,
  type TensorSpec,
} from './dtype.ts'
export { after, type Barrier, type GradientOptions, gradients, oneElement } from './gradients.ts'
export { describe, type GradientOverride, Graph, type Node, type Tensor } from './graph.ts'
export {
  type Lowered,
  type LoweredNode,
  lower,
  ONNX_OPERATORS,
  type OnnxOperator,
  OPSET,
  toOnnx,
} from './lower.ts'
export type { ConstantData, Op, OpAttributes, ScatterReduction } from './ops.ts'
export {
  commonSubexpressions,
  copyNode,
  deadCode,
  foldConstants,
  foldNode,
  optimize,
  type Pass,
  rebuild,
  simplify,
} from './passes.ts'
export { mixedPrecision } from './precision.ts'
export { evaluate, evaluateNode, type Values } from './reference.ts'
export { broadcastShapes, sameShape } from './shape.ts'
export { inPlaceSafe, inPlaceSafety, verifyGraph } from './verify.ts'
