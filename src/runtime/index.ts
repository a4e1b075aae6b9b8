/** @file Runs ONNX programs on a device. */
export { createRuntime, inspectLibrary, type LibraryReport, type RuntimeOptions } from './create.ts'
export { missingElementType } from './element-type.ts'
export { inspectRuntime, type RuntimeReport } from './inspect.ts'
export { legalize } from './legalize.ts'
export { type MatmulSpeed, measureMatmul } from './matmul.ts'
export { PROVIDER_NAMES, type ProviderName } from './names.ts'
export type { Binding, Capacity, DeviceTensor, MemoryUse, Program, Runtime, Traffic } from './runtime.ts'
export { type Coverage, coverage, needOf, supportSource, type UnsupportedNode } from './support.ts'
export {
  type Chosen,
  chooseRuntime,
  formatTarget,
  openRuntime,
  parseTarget,
  type Target,
} from './target.ts'
export { defaultThreads } from './threads.ts'
export { type VulkanDevice, vulkanDevices } from './vulkan.ts'
