/** @file What a run says of the machine and the program that it runs on. */
import { readFileSync } from 'node:fs'
import { arch, cpus, hostname, platform, release, totalmem } from 'node:os'
import type { MachineInfo } from './events.ts'

/** The machine in words; `runtime` is the runtime's own description. */
export function describeMachine(runtime: string, matmulFlopsPerSecond: number): MachineInfo {
  const processors = cpus()
  return {
    host: hostname(),
    platform: `${platform()} ${release()} ${arch()}`,
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    runtime,
    matmulFlopsPerSecond,
  }
}

/** Version of regauge. The manifest lies two folders above this file, in the sources as in the build. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
