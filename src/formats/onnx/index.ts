/** @file ONNX models, written and read. */
export { decodeOnnx } from './decode.ts'
export { encodeOnnx } from './encode.ts'
export {
  ONNX_DTYPES,
  type OnnxAttribute,
  type OnnxDType,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from './types.ts'
