/** @file Runs ONNX programs on a device. */
export { createRuntime, inspectLibrary, type LibraryReport, type RuntimeOptions } from './create.ts'
export { type MatmulSpeed, measureMatmul } from './matmul.ts'
export type { ProviderName } from './providers.ts'
export type { Binding, DeviceTensor, MemoryUse, Program, Runtime } from './runtime.ts'
export { defaultThreads } from './threads.ts'
