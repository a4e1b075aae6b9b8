/** @file The devices of this machine, as drivers and their vendors' tools tell of them. */
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import type { ProviderName } from './names.ts'
import { vulkanDevices } from './vulkan.ts'

/** Names of the devices that a runtime could use, as far as they are told. */
export function devicesOf(name: ProviderName): string[] {
  switch (name) {
    case 'cpu':
      return [cpus()[0]?.model.trim() ?? 'unknown processor']
    case 'webgpu':
      return vulkanDevices().map((device) => `${device.name}${device.hardware ? '' : ' (software)'}`)
    case 'cuda':
      return linesOf('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader'])
    case 'cann':
      // the last column of each row of the mapping that npu-smi prints
      return linesOf('npu-smi', ['info', '-m']).flatMap(
        (line) => /\b(Ascend\s?\S+)\s*$/.exec(line)?.[1] ?? [],
      )
  }
}

/** Bytes of memory of a runtime's device of this index; null where nobody tells, or it is not clear of which device. */
export function deviceMemoryBytes(name: ProviderName, index: number): number | null {
  switch (name) {
    case 'cpu':
      return null
    case 'webgpu': {
      const devices = vulkanDevices()
      const hardware = devices.filter((device) => device.hardware)
      return agreed((hardware.length > 0 ? hardware : devices).map(({ memoryBytes }) => memoryBytes))
    }
    case 'cuda':
      // the tool and the runtime may number devices in different orders
      return agreed(
        mebibytesIn(linesOf('nvidia-smi', ['--query-gpu=memory.total', '--format=csv,noheader,nounits'])),
      )
    case 'cann':
      return agreed(
        mebibytesIn(
          linesOf('npu-smi', ['info', '-t', 'memory', '-i', String(index)]).flatMap(
            (line) => /HBM Capacity\(MB\)\s*:\s*(\d+)/.exec(line)?.[1] ?? [],
          ),
        ),
      )
  }
}

function mebibytesIn(texts: readonly string[]): number[] {
  return texts.map((text) => Number(text) * 2 ** 20)
}

/** The one size that all devices have. */
function agreed(sizes: readonly number[]): number | null {
  const [first, ...others] = new Set(sizes)
  return first !== undefined && first > 0 && others.length === 0 ? first : null
}

/** Lines that a vendor's tool prints; none where it is not installed, fails or hangs. */
function linesOf(command: string, args: readonly string[]): string[] {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 5000 })
  if (status !== 0) return []
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
}
