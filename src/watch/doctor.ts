/** @file What regauge needs of a machine, looked at one thing after another. */
import { constants } from 'node:fs'
import { access, statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { RegaugeError } from '../errors.ts'
import type { Graph } from '../graph/index.ts'
import { bytes } from '../words.ts'

/** One finding. What is broken has a fix. */
export interface Finding {
  readonly name: string
  readonly ok: boolean
  /** What can be done without: not ok, and yet nothing is broken. */
  readonly optional?: true
  /** What was found, or what is wrong. */
  readonly found: string
  readonly fix?: string
}

const MIN_NODE = [20, 19] as const
const MIN_MEMORY = 2 ** 30
const MIN_DISK = 2 ** 30

/**
 * Looks at Node, processor, memory, disk, foreign functions, runtimes and speed, in the order in which they build on
 * each other; `folder` is where runs would be written. With `programs`, the graphs of a run by name, tells how many of
 * their nodes each runtime takes, by tables: no device is needed for that. What is broken is a finding, never an error;
 * takes a second.
 */
export async function diagnose(
  folder: string,
  options: { readonly programs?: ReadonlyMap<string, Graph> } = {},
): Promise<Finding[]> {
  return [
    nodeVersion(process.versions.node),
    processor(),
    memory(),
    await disk(folder),
    await foreignFunctions(),
    ...(await speed()),
    ...(await runtimes(options.programs)),
  ]
}

/** `version` as in `20.19.3`. */
export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const ok = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])
  return {
    name: 'Node',
    ok,
    found: version,
    ...(!ok && { fix: `install Node ${MIN_NODE.join('.')} or newer` }),
  }
}

function processor(): Finding {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return {
    name: 'processor',
    ok: true,
    found: `${process.platform} ${process.arch}, ${availableParallelism()} cores, ${model}`,
  }
}

function memory(): Finding {
  // A container's limit, where there is one, is below what the machine has.
  const limit = process.constrainedMemory()
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem()
  const ok = total >= MIN_MEMORY
  const found = `${bytes(total)}, ${bytes(Math.min(freemem(), total))} free`
  return { name: 'memory', ok, found, ...(!ok && { fix: `training needs ${bytes(MIN_MEMORY)} at least` }) }
}

async function disk(folder: string): Promise<Finding> {
  try {
    await access(folder, constants.W_OK)
  } catch {
    return {
      name: 'disk',
      ok: false,
      found: `${folder} is not writable`,
      fix: 'go to a folder of yours, or set "output" in run.yaml',
    }
  }
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const ok = free >= MIN_DISK
  return {
    name: 'disk',
    ok,
    found: `${bytes(free)} free in ${folder}`,
    ...(!ok && { fix: 'free some space: checkpoints go here' }),
  }
}

async function foreignFunctions(): Promise<Finding> {
  try {
    const { default: koffi } = await import('koffi')
    return { name: 'koffi', ok: true, found: koffi.version }
  } catch (error) {
    return broken('koffi', error, 'npm install koffi; it has prebuilt binaries for common platforms')
  }
}

async function speed(): Promise<Finding[]> {
  try {
    const { createRuntime, measureMatmul } = await import('../runtime/index.ts')
    const host = createRuntime({ name: 'cpu' })
    try {
      const { best } = await measureMatmul(host)
      const found = `${(best / 1e9).toFixed(0)} GFLOP/s in float32 matrix products, measured`
      return [{ name: 'speed', ok: true, found }]
    } finally {
      host.dispose()
    }
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    return [broken('speed', error, 'npm install onnxruntime-node')]
  }
}

/** Each runtime: the library, its devices, and what it takes of the programs. */
async function runtimes(programs: ReadonlyMap<string, Graph> = new Map()): Promise<Finding[]> {
  const { coverage, inspectRuntime, legalize, PROVIDER_NAMES, supportSource } = await import(
    '../runtime/index.ts'
  )
  return PROVIDER_NAMES.flatMap((name, i) => {
    const { usable, library, version, devices, problem, remedy, tried } = inspectRuntime(name)
    const where = devices.length === 0 ? 'no device found' : devices.join(', ')
    const finding: Finding = {
      name,
      ok: usable,
      // the first runs everywhere, and without it nothing does
      ...(i > 0 && { optional: true as const }),
      found: usable
        ? `ONNX Runtime ${version}, ${library}; ${where}; ${tried}`
        : `${problem}; ${where}; ${tried}`,
      ...(!usable && remedy !== undefined && { fix: remedy }),
    }
    const covered = [...programs].map(([program, graph]): Finding => {
      const { nodes, unsupported, needs } = coverage(legalize(graph, name), name)
      const [first] = unsupported
      const needed = needs.length === 0 ? '' : `; needs ${needs.join(' and ')}`
      const missing =
        first === undefined
          ? ''
          : `, not ${unsupported.length}: first ${first.opType} (${first.name}), ${first.reason}`
      return {
        name: `${name} ${program}`,
        ok: first === undefined,
        optional: true,
        found: `${nodes - unsupported.length} of ${nodes} nodes supported${missing}${needed}`,
        ...(first !== undefined && { fix: 'set train.precision to float32, or run it on another runtime' }),
      }
    })
    if (covered.length === 0) return [finding]
    const tables: Finding = { name: `${name} tables`, ok: true, found: supportSource(name) }
    return [finding, ...covered, tables]
  })
}

function broken(name: string, error: unknown, fix: string): Finding {
  const issue = error instanceof RegaugeError ? error.issues[0] : undefined
  const found = issue?.message ?? (error instanceof Error ? error.message.split('\n')[0]! : String(error))
  return { name, ok: false, found, fix: issue?.hint ?? fix }
}
