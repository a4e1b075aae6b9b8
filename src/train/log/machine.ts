/** @file What a run says of the machine that it runs on. */
import { arch, cpus, hostname, platform, release, totalmem } from 'node:os'
import type { MachineInfo } from './events.ts'

/** The machine in words; `runtime` is the runtime's own description. */
export function describeMachine(runtime: string, matmulFlopsPerSecond?: number): MachineInfo {
  const processors = cpus()
  return {
    host: hostname(),
    platform: `${platform()} ${release()} ${arch()}`,
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    runtime,
    ...(matmulFlopsPerSecond !== undefined && { matmulFlopsPerSecond }),
  }
}
