/** @file Which runtimes can be had on this machine, for tests that need one. */
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRuntime, type ProviderName, vulkanDevices } from '../src/runtime/index.ts'

/** A Vulkan device in software, which Debian's package `chromium` brings: slow, and right. */
const SOFTWARE_VULKAN = '/usr/lib/chromium/vk_swiftshader_icd.json'

/**
 * Why a runtime cannot be had here; undefined when it can. Where there is no GPU for WebGPU, a software device takes its
 * place if there is one.
 */
export function missingRuntime(name: ProviderName): string | undefined {
  if (name === 'webgpu' && process.platform === 'linux') {
    if (!vulkanDevices().some(({ hardware }) => hardware)) {
      if (!existsSync(SOFTWARE_VULKAN))
        return 'no Vulkan device: install a driver, or on Debian the packages chromium and libvulkan1'
      process.env.VK_ICD_FILENAMES = SOFTWARE_VULKAN
    }
    process.env.XDG_RUNTIME_DIR ??= mkdtempSync(join(tmpdir(), 'xdg-'))
  }
  try {
    createRuntime({ name }).dispose()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
