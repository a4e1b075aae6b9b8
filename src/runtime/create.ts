/** @file Makes a runtime of ONNX Runtime and one of its execution providers. */
import { RegaugeError } from '../errors.ts'
import type { TensorSpec } from '../graph/index.ts'
import { type Api, cells, openApi, type Pointer, stringsAt } from './api.ts'
import { arenaUse, createSharedArena, SHARED_ARENA_OPTION, sharedArena } from './arena.ts'
import { recordAssignment, requireOnDevice } from './assignment.ts'
import { openDeviceMemory, type SessionMaker } from './device-memory.ts'
import { deviceMemoryBytes } from './devices.ts'
import { findLibrary } from './library.ts'
import type { ProviderName } from './names.ts'
import { type Context, makeProgram } from './program.ts'
import { hostMemoryInfo, PROVIDERS, type Provider, type ProviderSettings } from './providers.ts'
import { freeQueue, type Queue, strictQueue } from './queue.ts'
import type { DeviceTensor, MemoryUse, Program, Runtime, Traffic } from './runtime.ts'
import { allocateHostTensor, type OrtTensor } from './tensor.ts'
import { defaultThreads, maxThreads } from './threads.ts'

export interface RuntimeOptions {
  /** The execution provider. */
  readonly name: ProviderName
  /** Which device of the provider, from 0 (default). */
  readonly index?: number
  /** Threads that one run uses on the host; by default the physical cores that this process may use. */
  readonly threads?: number
  /** Starts the file names of a trace that each program then writes; see `Program.endProfile`. */
  readonly profile?: string
  /**
   * Path of an ONNX Runtime library; by default the one that the provider's environment variable names
   * (`REGAUGE_CUDA_LIBRARY` and so on), else the one in onnxruntime-node.
   */
  readonly library?: string
  /** Lets nodes that the device has no kernel for run on the host; otherwise `load` refuses the model and names them. */
  readonly allowHost?: boolean
}

/**
 * Makes a runtime. Throws a RegaugeError of kind `environment` when library, provider or device cannot be used.
 *
 * @example
 * ```ts
 * import { createRuntime } from 'regauge'
 * import { add, Graph, toOnnx } from 'regauge/graph'
 *
 * const graph = new Graph()
 * const x = graph.input('x', { dtype: 'float32', shape: [2] })
 * graph.output('twice', add(x, x))
 * const runtime = createRuntime({ name: 'cpu' })
 * const program = await runtime.load(toOnnx(graph, 'twice'))
 * const tensors = new Map([...program.inputs].map(([name, spec]) => [name, runtime.allocate(spec)]))
 * console.log(runtime.description, [...tensors.keys()])
 * runtime.dispose()
 * ```
 */
export function createRuntime(options: RuntimeOptions): Runtime {
  const provider: Provider = PROVIDERS[options.name]
  const library = options.library ?? libraryOf(options.name)
  const { api, environment, turns } = openLibrary(library)
  const queue = provider.memory === 'device' ? turns : freeQueue(api)
  const settings = { threads: options.threads ?? defaultThreads(), index: options.index ?? 0, library }
  checkSettings(options.name, provider, settings)
  const owned = new WeakSet<DeviceTensor>()
  const programs = new Set<Program>()
  let disposed = false
  const check = (): void => {
    if (disposed) throw new Error('a runtime was used after it was disposed of')
  }
  const sessionOptions = (): Pointer => {
    const made = createSessionOptions(api)
    try {
      explainProvider(options.name, library, () => provider.configure(api, made, settings))
      return made
    } catch (error) {
      api.ReleaseSessionOptions(made)
      throw error
    }
  }
  const refusesHost = provider.memory === 'device' && options.allowHost !== true
  const record = (made: Pointer): boolean => refusesHost && recordAssignment(api, made)
  const requireAssigned = (session: Pointer, recorded: boolean): void => {
    if (recorded) requireOnDevice(api, session, options.name, provider)
  }
  const makeSession: SessionMaker = (model) => {
    const made = sessionOptions()
    try {
      const recorded = record(made)
      const out = cells()
      api.CreateSessionFromArray(environment, model, model.byteLength, made, out)
      const session = out[0]!
      try {
        requireAssigned(session, recorded)
        return session
      } catch (error) {
        api.ReleaseSession(session)
        throw error
      }
    } finally {
      api.ReleaseSessionOptions(made)
    }
  }
  const memory = explainProvider(options.name, library, () =>
    openMemory(api, environment, provider, queue, makeSession),
  )
  const context: Context = {
    api,
    queue,
    profiled: options.profile !== undefined,
    own: (tensor) => (owned.has(tensor) ? (tensor as OrtTensor) : undefined),
    onDispose: (program) => programs.delete(program),
  }
  return {
    name: options.name,
    inPlace: provider.inPlace,
    description: `ONNX Runtime ${api.version}, ${provider.describe(settings)}`,
    allocate(spec) {
      check()
      const tensor = memory.allocate(spec)
      owned.add(tensor)
      return tensor
    },
    async load(model) {
      check()
      const made = sessionOptions()
      try {
        const recorded = record(made)
        if (options.profile !== undefined) api.EnableProfiling(made, options.profile)
        const session = await createSession(queue, environment, made, model)
        try {
          check()
          memory.onSession(session)
          const program = makeProgram(context, session)
          requireAssigned(session, recorded)
          programs.add(program)
          return program
        } catch (error) {
          queue.whenIdle(() => api.ReleaseSession(session))
          throw error
        }
      } finally {
        api.ReleaseSessionOptions(made)
      }
    },
    traffic() {
      check()
      return memory.traffic
    },
    memory() {
      check()
      return memory.use()
    },
    capacity: () =>
      provider.memory === 'host'
        ? { on: 'host', bytes: process.availableMemory() }
        : { on: 'device', bytes: deviceMemoryBytes(options.name, settings.index) },
    dispose() {
      if (disposed) return
      for (const program of [...programs]) program.dispose()
      disposed = true
      memory.dispose()
    },
  }
}

function checkSettings(name: ProviderName, provider: Provider, { threads, index }: ProviderSettings): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > maxThreads()) {
    const message = `threads is ${threads}, expected a whole number from 1 to ${maxThreads()}`
    throw new RegaugeError('usage', { code: 'RUNTIME_THREADS', message, hint: 'leave it out for one a core' })
  }
  if (!Number.isInteger(index) || index < 0 || index >= (provider.devices ?? 2 ** 15)) {
    throw new RegaugeError('usage', {
      code: 'RUNTIME_DEVICE',
      message: `${name}:${index} is not a device`,
      hint: provider.devices === 1 ? `${name} has one device: say \`${name}\`` : `say \`${name}:0\``,
    })
  }
}

/** Where a runtime's tensors lie. */
interface Memory {
  allocate(spec: TensorSpec): OrtTensor
  readonly traffic: Readonly<Traffic> | null
  use(): MemoryUse | null
  /** Is told of each session, which may be a way to what the memory needs. */
  onSession(session: Pointer): void
  dispose(): void
}

function openMemory(
  api: Api,
  environment: Pointer,
  { memory, copies }: Provider,
  queue: Queue,
  makeSession: SessionMaker,
): Memory {
  if (memory === 'device') {
    return { ...openDeviceMemory(api, environment, makeSession, copies, queue), onSession: () => {} }
  }
  const memoryInfo = hostMemoryInfo(api)
  let arena: Pointer | undefined
  return {
    allocate: (spec) => allocateHostTensor(api, memoryInfo, spec),
    traffic: null,
    use: () => (arena === undefined ? null : arenaUse(api, arena)),
    onSession: (session) => {
      arena ??= sharedArena(api, session, memoryInfo)
    },
    dispose() {
      if (arena !== undefined) api.ReleaseAllocator(arena)
      api.ReleaseMemoryInfo(memoryInfo)
    },
  }
}

/** The library that the user points to by the provider's environment variable, else the one in onnxruntime-node. */
export function libraryOf(name: ProviderName): string {
  const { libraryVariable }: Provider = PROVIDERS[name]
  const named = libraryVariable === undefined ? undefined : process.env[libraryVariable]
  return named === undefined || named === '' ? findLibrary() : named
}

/** Says which environment variable named a library that cannot be used. */
function explainLibrary<T>(library: string, open: () => T): T {
  try {
    return open()
  } catch (error) {
    const variables = Object.values(PROVIDERS).flatMap(({ libraryVariable }: Provider) =>
      libraryVariable !== undefined && process.env[libraryVariable] === library ? [libraryVariable] : [],
    )
    if (!(error instanceof RegaugeError) || variables.length === 0) throw error
    const named = `${variables.join(' and ')} names this file`
    const issues = error.issues.map((issue) => ({
      ...issue,
      hint: issue.hint === undefined ? named : `${named}; ${issue.hint}`,
    }))
    throw new RegaugeError(error.kind, issues, { cause: error })
  }
}

/** Says which provider an error in its set-up is about, and what to do. */
function explainProvider<T>(name: ProviderName, library: string, setUp: () => T): T {
  try {
    return setUp()
  } catch (error) {
    if (!(error instanceof RegaugeError) || error.issues[0]?.code !== 'RUNTIME_FAILED') throw error
    const hint = /invalid device/i.test(error.message)
      ? `name another device, as in \`${name}:0\``
      : PROVIDERS[name].remedy
    throw new RegaugeError(
      'environment',
      {
        code: 'RUNTIME_PROVIDER_UNUSABLE',
        message: `${name} cannot be used here (${error.issues[0].message})`,
        file: library,
        hint,
      },
      { cause: error },
    )
  }
}

/** `OrtLoggingLevel`: every failure reaches the caller as a status, so nothing is left to print on stderr. */
const LOG_FATAL = 4

/** One environment a library and process: ONNX Runtime itself keeps a single one. It is never released. */
const libraries = new Map<string, Library>()

interface Library {
  readonly api: Api
  readonly environment: Pointer
  /** Turns of all runtimes of this library that have a device: those of one provider share what is behind it. */
  readonly turns: Queue
}

function openLibrary(path: string): Library {
  let opened = libraries.get(path)
  if (opened === undefined) {
    const api = explainLibrary(path, () => openApi(path))
    const out = cells()
    api.CreateEnv(LOG_FATAL, 'regauge', out)
    const environment = out[0]!
    const memoryInfo = hostMemoryInfo(api)
    createSharedArena(api, environment, memoryInfo)
    api.ReleaseMemoryInfo(memoryInfo)
    opened = { api, environment, turns: strictQueue(api) }
    libraries.set(path, opened)
  }
  return opened
}

function createSessionOptions(api: Api): Pointer {
  const out = cells()
  api.CreateSessionOptions(out)
  const options = out[0]!
  // The memory pattern allocates one planned block beside what the first run left in the arena: on a training step it
  // raised the peak from 944 to 1508 MB and saved no time.
  api.DisableMemPattern(options)
  api.AddSessionConfigEntry(options, ...SHARED_ARENA_OPTION)
  return options
}

async function createSession(
  queue: Queue,
  environment: Pointer,
  options: Pointer,
  model: Uint8Array | string,
): Promise<Pointer> {
  const out = cells()
  try {
    if (typeof model === 'string') await queue.later('CreateSession', environment, model, options, out)
    else await queue.later('CreateSessionFromArray', environment, model, model.byteLength, options, out)
  } catch (error) {
    if (!(error instanceof RegaugeError) || typeof model !== 'string') throw error
    throw new RegaugeError(
      error.kind,
      error.issues.map((issue) => ({ ...issue, file: model })),
      { cause: error },
    )
  }
  return out[0]!
}

/** What a library is and offers, for `doctor`. */
export interface LibraryReport {
  readonly path: string
  readonly version: string
  /** Names of the execution providers in the build, for instance `CPUExecutionProvider`. */
  readonly providers: readonly string[]
  readonly buildInfo: string
}

/** Opens the library at `path`, by default the one in onnxruntime-node, and asks what it offers. */
export function inspectLibrary(path: string = findLibrary()): LibraryReport {
  const { api } = openLibrary(path)
  return {
    path,
    version: api.version,
    providers: availableProviders(api),
    buildInfo: api.GetBuildInfoString(),
  }
}

function availableProviders(api: Api): string[] {
  const [list, count] = [cells(), cells()]
  api.GetAvailableProviders(list, count)
  const names = stringsAt(list[0]!, Number(count[0]))
  api.ReleaseAvailableProviders(list[0]!, names.length)
  return names
}
