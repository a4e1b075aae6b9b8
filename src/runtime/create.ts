/** @file Makes a runtime of ONNX Runtime and one of its execution providers. */
import { RegaugeError } from '../errors.ts'
import { type Api, cells, openApi, type Pointer, stringsAt } from './api.ts'
import { arenaUse, createSharedArena, SHARED_ARENA_OPTION, sharedArena } from './arena.ts'
import { findLibrary } from './library.ts'
import { type Context, makeProgram } from './program.ts'
import { PROVIDERS, type Provider, type ProviderName } from './providers.ts'
import type { DeviceTensor, Program, Runtime } from './runtime.ts'
import { allocateHostTensor, type OrtTensor } from './tensor.ts'
import { defaultThreads, maxThreads } from './threads.ts'

export interface RuntimeOptions {
  /** The execution provider. */
  readonly name: ProviderName
  /** Threads that one run uses; by default the physical cores that this process may use. */
  readonly threads?: number
  /** Starts the file names of a trace that each program then writes; see `Program.endProfile`. */
  readonly profile?: string
  /** Path of an ONNX Runtime library to use in place of the one in onnxruntime-node. */
  readonly library?: string
}

/** Makes a runtime. Throws a RegaugeError of kind `environment` when the library cannot be used. */
export function createRuntime(options: RuntimeOptions): Runtime {
  const { api, environment } = openLibrary(options.library ?? findLibrary())
  const provider: Provider = PROVIDERS[options.name]
  const settings = { threads: options.threads ?? defaultThreads() }
  const { threads } = settings
  if (!Number.isInteger(threads) || threads < 1 || threads > maxThreads()) {
    const message = `threads is ${threads}, expected a whole number from 1 to ${maxThreads()}`
    throw new RegaugeError('usage', { code: 'RUNTIME_THREADS', message, hint: 'leave it out for one a core' })
  }
  const memoryInfo = provider.createMemoryInfo(api)
  const owned = new WeakSet<DeviceTensor>()
  const programs = new Set<Program>()
  let arena: Pointer | undefined
  let disposed = false
  const check = (): void => {
    if (disposed) throw new Error('a runtime was used after it was disposed of')
  }
  const context: Context = {
    api,
    profiled: options.profile !== undefined,
    own: (tensor) => (owned.has(tensor) ? (tensor as OrtTensor) : undefined),
    onDispose: (program) => programs.delete(program),
  }
  return {
    name: options.name,
    description: `ONNX Runtime ${api.version}, ${provider.describe(settings)}`,
    allocate(spec) {
      check()
      const tensor = allocateHostTensor(api, memoryInfo, spec)
      owned.add(tensor)
      return tensor
    },
    async load(model) {
      check()
      const sessionOptions = createSessionOptions(api)
      try {
        provider.configure(api, sessionOptions, settings)
        if (options.profile !== undefined) api.EnableProfiling(sessionOptions, options.profile)
        const session = await createSession(api, environment, sessionOptions, model)
        try {
          check()
          arena ??= sharedArena(api, session, memoryInfo)
          const program = makeProgram(context, session)
          programs.add(program)
          return program
        } catch (error) {
          api.ReleaseSession(session)
          throw error
        }
      } finally {
        api.ReleaseSessionOptions(sessionOptions)
      }
    },
    memory() {
      check()
      return arena === undefined ? null : arenaUse(api, arena)
    },
    dispose() {
      if (disposed) return
      for (const program of [...programs]) program.dispose()
      disposed = true
      if (arena !== undefined) api.ReleaseAllocator(arena)
      api.ReleaseMemoryInfo(memoryInfo)
    },
  }
}

/** `OrtLoggingLevel`: every failure reaches the caller as a status, so nothing is left to print on stderr. */
const LOG_FATAL = 4

/** One environment a library and process: ONNX Runtime itself keeps a single one. It is never released. */
const libraries = new Map<string, { readonly api: Api; readonly environment: Pointer }>()

function openLibrary(path: string): { readonly api: Api; readonly environment: Pointer } {
  let opened = libraries.get(path)
  if (opened === undefined) {
    const api = openApi(path)
    const out = cells()
    api.CreateEnv(LOG_FATAL, 'regauge', out)
    const environment = out[0]!
    const memoryInfo = PROVIDERS.cpu.createMemoryInfo(api)
    createSharedArena(api, environment, memoryInfo)
    api.ReleaseMemoryInfo(memoryInfo)
    opened = { api, environment }
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
  api: Api,
  environment: Pointer,
  options: Pointer,
  model: Uint8Array | string,
): Promise<Pointer> {
  const out = cells()
  try {
    if (typeof model === 'string') await api.later('CreateSession', environment, model, options, out)
    else await api.later('CreateSessionFromArray', environment, model, model.byteLength, options, out)
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
