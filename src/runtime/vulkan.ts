/** @file The Vulkan devices of this machine: what WebGPU runs on under Linux, asked for without starting it. */
import koffi from 'koffi'
import { cells, type Pointer } from './api.ts'

export interface VulkanDevice {
  readonly name: string
  /** False for a processor that stands in for a device. */
  readonly hardware: boolean
  /** Bytes of the largest memory of its own. */
  readonly memoryBytes: number
}

/** VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, and the bytes of VkInstanceCreateInfo with 8-byte pointers. */
const [CREATE_INFO, CREATE_INFO_BYTES] = [1, 64]
/** VkPhysicalDeviceProperties: offsets of deviceType and deviceName, and room enough for the whole of it. */
const [TYPE_OFFSET, NAME_OFFSET, NAME_BYTES, PROPERTIES_BYTES] = [16, 20, 256, 1024]
/**
 * VkPhysicalDeviceMemoryProperties: offsets of memoryHeapCount and memoryHeaps, bytes of a VkMemoryHeap, offset of its
 * flags, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT, and bytes of it all.
 */
const [HEAP_COUNT, HEAPS, HEAP_BYTES, HEAP_FLAGS, DEVICE_LOCAL, MEMORY_BYTES] = [260, 264, 16, 8, 1, 520]
/** VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, DISCRETE_GPU and VIRTUAL_GPU. */
const HARDWARE: ReadonlySet<number> = new Set([1, 2, 3])

/**
 * The Vulkan devices; none where there is no Vulkan loader. Source of structures and numbers: the Vulkan 1.0
 * specification.
 */
export function vulkanDevices(): VulkanDevice[] {
  if (process.platform !== 'linux') return []
  let library: ReturnType<typeof koffi.load>
  try {
    library = koffi.load('libvulkan.so.1')
  } catch {
    return []
  }
  const create = library.func('vkCreateInstance', 'int', ['void *', 'void *', 'void *'])
  const list = library.func('vkEnumeratePhysicalDevices', 'int', ['void *', 'void *', 'void *'])
  const describe = library.func('vkGetPhysicalDeviceProperties', 'void', ['void *', 'void *'])
  const describeMemory = library.func('vkGetPhysicalDeviceMemoryProperties', 'void', ['void *', 'void *'])
  const destroy = library.func('vkDestroyInstance', 'void', ['void *', 'void *'])

  const info = new Uint8Array(new ArrayBuffer(CREATE_INFO_BYTES))
  info[0] = CREATE_INFO
  const out = cells()
  if (create(info, null, out) !== 0) return []
  const instance = out[0]!
  try {
    const count = cells()
    if (list(instance, count, null) !== 0 || count[0] === 0n) return []
    const devices = cells(Number(count[0]))
    if (list(instance, count, devices) !== 0) return []
    return Array.from(devices.subarray(0, Number(count[0])), (device: Pointer) => {
      const properties = new Uint8Array(new ArrayBuffer(PROPERTIES_BYTES))
      describe(device, properties)
      const view = new DataView(properties.buffer)
      const name = Buffer.from(properties.buffer, NAME_OFFSET, NAME_BYTES)
      const memory = new Uint8Array(new ArrayBuffer(MEMORY_BYTES))
      describeMemory(device, memory)
      return {
        name: name.subarray(0, Math.max(0, name.indexOf(0))).toString('utf8'),
        hardware: HARDWARE.has(view.getUint32(TYPE_OFFSET, true)),
        memoryBytes: largestHeap(new DataView(memory.buffer)),
      }
    })
  } finally {
    destroy(instance, null)
  }
}

/** Bytes of the largest heap that is local to the device. */
function largestHeap(memory: DataView): number {
  let most = 0
  for (let heap = 0; heap < memory.getUint32(HEAP_COUNT, true); heap++) {
    const at = HEAPS + heap * HEAP_BYTES
    if ((memory.getUint32(at + HEAP_FLAGS, true) & DEVICE_LOCAL) === 0) continue
    most = Math.max(most, Number(memory.getBigUint64(at, true)))
  }
  return most
}
