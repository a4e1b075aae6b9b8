/** @file File formats that others defined: what the other rooms use of them. */
export * from './onnx/index.ts'
