/**
 * @file Steps as graphs: tensors and operations, gradients, passes, ONNX, and the programs of a decoder built of them.
 *
 * @example A loss, its gradients, and both as a file of ONNX.
 * ```ts
 * import { Graph, gradients, matmul, mul, optimize, reduceMean, sub, toOnnx } from 'regauge/graph'
 *
 * const graph = new Graph()
 * const x = graph.input('x', { dtype: 'float32', shape: [32, 8] })
 * const y = graph.input('y', { dtype: 'float32', shape: [32, 1] })
 * const w = graph.input('w', { dtype: 'float32', shape: [8, 1] })
 * const error = sub(matmul(x, w), y)
 * const loss = reduceMean(mul(error, error))
 * const [slope] = gradients(loss, [w])
 * graph.output('loss', loss)
 * graph.output('slope', slope!)
 * const bytes = toOnnx(optimize(graph), 'least_squares')
 * ```
 */

// Tensors, operations, gradients, passes, ONNX.
export * from './graph/index.ts'
// What a program is built for.
export {
  type Architecture,
  FAMILY_NAMES,
  type FamilyName,
  initialValues,
  type Parameter,
  type ParameterKind,
  PRESETS,
  type PresetName,
  parameterCount,
  parametersOf,
  type Rope,
  type RopeScaling,
  readArchitecture,
  ropeTables,
} from './model/index.ts'
// The programs that train, evaluate and generate, and their layers.
export {
  accumulateStep,
  type BatchShape,
  causalAttention,
  type DecodeShape,
  decoderHidden,
  decodeStep,
  embedding,
  evaluateStep,
  gradientStep,
  linear,
  linearCrossEntropy,
  logitsStep,
  OPTIMIZERS,
  type Optimizer,
  type OptimizerKind,
  type ParameterTensors,
  type ProductPrecision,
  parameterInputs,
  rmsNorm,
  rotate,
  rotation,
  type StatePair,
  type StepProgram,
  type StepRecompute,
  stateNames,
  swiglu,
  type TrainedParameter,
  type TrainStepOptions,
  trainStep,
  type Updated,
  type UpdateInputs,
  updateParameters,
} from './steps/index.ts'
