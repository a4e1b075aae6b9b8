/** @file ONNX Runtime's C API by FFI: the slot and signature of each function used, and calls that throw. */
import koffi, { type KoffiFunc } from 'koffi'
import { RegaugeError } from '../errors.ts'
import { problemOfLibraryFile } from './library-file.ts'
import { ownWords } from './own-words.ts'

// koffi's default for calls on a worker thread is 128 KiB: compiling a shader in a run overflows it, and ends the process
koffi.config({ ...koffi.config(), async_stack_size: 8 << 20 })

/** A C pointer. */
export type Pointer = bigint

/** Types of arguments: a `path` is `char*`, but `wchar_t*` on Windows; a view passes as a pointer to its bytes. */
type Argument = 'pointer' | 'string' | 'path' | 'int' | 'size'

interface Signature {
  /** 0-based position in `struct OrtApi`. ONNX Runtime only ever appends, so it holds for all later versions. */
  readonly slot: number
  /** Minor version of ONNX Runtime 1.x that introduced it, where later than `MINIMUM_MINOR`. */
  readonly since?: number
  readonly returns: 'status' | 'string' | 'int' | 'pointer' | 'void'
  readonly args: readonly Argument[]
}

/** The lowest ONNX Runtime 1.x with every function below that has no `since`. */
const MINIMUM_MINOR = 16

const status = <const A extends readonly Argument[]>(slot: number, ...args: A) =>
  ({ slot, returns: 'status', args }) as const
const release = (slot: number) => ({ slot, returns: 'void', args: ['pointer'] }) as const

/** Source: `struct OrtApi` in onnxruntime_c_api.h, slots counted by script; each is called by the tests. */
const FUNCTIONS = {
  GetErrorCode: { slot: 1, returns: 'int', args: ['pointer'] },
  GetErrorMessage: { slot: 2, returns: 'string', args: ['pointer'] },
  CreateEnv: status(3, 'int', 'string', 'pointer'),
  CreateSession: status(7, 'pointer', 'path', 'pointer', 'pointer'),
  CreateSessionFromArray: status(8, 'pointer', 'pointer', 'size', 'pointer', 'pointer'),
  CreateSessionOptions: status(10, 'pointer'),
  EnableProfiling: status(14, 'pointer', 'path'),
  DisableMemPattern: status(17, 'pointer'),
  SetIntraOpNumThreads: status(24, 'pointer', 'int'),
  SessionGetInputCount: status(30, 'pointer', 'pointer'),
  SessionGetOutputCount: status(31, 'pointer', 'pointer'),
  SessionGetInputTypeInfo: status(33, 'pointer', 'size', 'pointer'),
  SessionGetOutputTypeInfo: status(34, 'pointer', 'size', 'pointer'),
  SessionGetInputName: status(36, 'pointer', 'size', 'pointer', 'pointer'),
  SessionGetOutputName: status(37, 'pointer', 'size', 'pointer', 'pointer'),
  CreateRunOptions: status(39, 'pointer'),
  RunOptionsSetTerminate: status(46, 'pointer'),
  RunOptionsUnsetTerminate: status(47, 'pointer'),
  CreateTensorAsOrtValue: status(48, 'pointer', 'pointer', 'size', 'int', 'pointer'),
  CreateTensorWithDataAsOrtValue: status(
    49,
    'pointer',
    'pointer',
    'size',
    'pointer',
    'size',
    'int',
    'pointer',
  ),
  CastTypeInfoToTensorInfo: status(55, 'pointer', 'pointer'),
  GetTensorElementType: status(60, 'pointer', 'pointer'),
  GetDimensionsCount: status(61, 'pointer', 'pointer'),
  GetDimensions: status(62, 'pointer', 'pointer', 'size'),
  CreateCpuMemoryInfo: status(69, 'int', 'int', 'pointer'),
  AllocatorFree: status(76, 'pointer', 'pointer'),
  GetAllocatorWithDefaultOptions: status(78, 'pointer'),
  ReleaseStatus: release(93),
  ReleaseMemoryInfo: release(94),
  ReleaseSession: release(95),
  ReleaseValue: release(96),
  ReleaseRunOptions: release(97),
  ReleaseTypeInfo: release(98),
  ReleaseSessionOptions: release(100),
  SessionEndProfiling: status(110, 'pointer', 'pointer', 'pointer'),
  GetAvailableProviders: status(125, 'pointer', 'pointer'),
  ReleaseAvailableProviders: status(126, 'pointer', 'int'),
  AddSessionConfigEntry: status(130, 'pointer', 'string', 'string'),
  CreateAllocator: status(131, 'pointer', 'pointer', 'pointer'),
  ReleaseAllocator: release(132),
  RunWithBinding: status(133, 'pointer', 'pointer', 'pointer'),
  CreateIoBinding: status(134, 'pointer', 'pointer'),
  ReleaseIoBinding: release(135),
  BindInput: status(136, 'pointer', 'string', 'pointer'),
  BindOutput: status(137, 'pointer', 'string', 'pointer'),
  CreateAndRegisterAllocator: status(144, 'pointer', 'pointer', 'pointer'),
  CreateArenaCfg: status(156, 'size', 'int', 'int', 'int', 'pointer'),
  ReleaseArenaCfg: release(157),
  SessionOptionsAppendExecutionProvider_CUDA_V2: status(204, 'pointer', 'pointer'),
  CreateCUDAProviderOptions: status(205, 'pointer'),
  UpdateCUDAProviderOptions: status(206, 'pointer', 'pointer', 'pointer', 'size'),
  ReleaseCUDAProviderOptions: release(208),
  SessionOptionsAppendExecutionProvider: status(216, 'pointer', 'string', 'pointer', 'pointer', 'size'),
  SessionOptionsAppendExecutionProvider_CANN: status(220, 'pointer', 'pointer'),
  CreateCANNProviderOptions: status(221, 'pointer'),
  UpdateCANNProviderOptions: status(222, 'pointer', 'pointer', 'pointer', 'size'),
  ReleaseCANNProviderOptions: release(224),
  GetBuildInfoString: { slot: 254, returns: 'string', args: [] },
  GetKeyValuePairs: {
    slot: 298,
    since: 22,
    returns: 'void',
    args: ['pointer', 'pointer', 'pointer', 'pointer'],
  },
  ReleaseKeyValuePairs: { ...release(300), since: 22 },
  SessionGetMemoryInfoForInputs: { ...status(380, 'pointer', 'pointer', 'size'), since: 23 },
  CopyTensors: { ...status(386, 'pointer', 'pointer', 'pointer', 'pointer', 'size'), since: 23 },
  Session_GetEpGraphAssignmentInfo: { ...status(407, 'pointer', 'pointer', 'pointer'), since: 24 },
  EpAssignedSubgraph_GetEpName: { ...status(408, 'pointer', 'pointer'), since: 24 },
  EpAssignedSubgraph_GetNodes: { ...status(409, 'pointer', 'pointer', 'pointer'), since: 24 },
  EpAssignedNode_GetName: { ...status(410, 'pointer', 'pointer'), since: 24 },
  EpAssignedNode_GetOperatorType: { ...status(412, 'pointer', 'pointer'), since: 24 },
  AllocatorGetStats: { ...status(319, 'pointer', 'pointer'), since: 23 },
} as const satisfies Record<string, Signature>

type Functions = typeof FUNCTIONS
type Value<A> = A extends 'string' | 'path'
  ? string
  : A extends 'int' | 'size'
    ? number
    : Pointer | ArrayBufferView
type Values<A extends readonly Argument[]> = { -readonly [I in keyof A]: Value<A[I]> }
type Result<R> = R extends 'string'
  ? string
  : R extends 'int'
    ? number
    : R extends 'pointer'
      ? Pointer
      : undefined
type Calls = {
  readonly [K in keyof Functions]: (...args: Values<Functions[K]['args']>) => Result<Functions[K]['returns']>
}
type NativeCall = KoffiFunc<(...args: unknown[]) => unknown>
type StatusName = {
  [K in keyof Functions]: Functions[K]['returns'] extends 'status' ? K : never
}[keyof Functions]

/** ONNX Runtime's functions by name. A call that returns an `OrtStatus` throws its message as a RegaugeError. */
export interface Api extends Calls {
  /** For instance `1.30.0`. */
  readonly version: string
  /** Whether the library is new enough to have a function. */
  has(name: keyof Functions): boolean
  /** Calls on a worker thread, so that the event loop stays free. Views that are passed stay alive until it ends. */
  later<K extends StatusName>(name: K, ...args: Values<Functions[K]['args']>): Promise<void>
}

/** Opens the library at `path` and reads its table of functions. */
export function openApi(path: string): Api {
  const { version, table } = openTable(path)
  const minor = Number(version.split('.')[1])
  const functions = new Map<string, NativeCall>()
  const slots =
    Math.max(...Object.values(FUNCTIONS).map((f: Signature) => (minor >= (f.since ?? 0) ? f.slot : 0))) + 1
  const pointers: Pointer[] = koffi.decode(table, 'void *', slots)

  const has = ({ since = MINIMUM_MINOR }: Signature): boolean => minor >= since
  const raw = (name: string): NativeCall => {
    const known = functions.get(name)
    if (known !== undefined) return known
    const signature: Signature = FUNCTIONS[name as keyof Functions]
    if (!has(signature)) {
      throw new RegaugeError('environment', {
        code: 'RUNTIME_LIBRARY_OLD',
        message: `ONNX Runtime ${version} lacks ${name}`,
        file: path,
        hint: `use ONNX Runtime 1.${signature.since} or newer`,
      })
    }
    const proto = koffi.proto(
      RETURN_TYPES[signature.returns],
      signature.args.map((a) => ARGUMENT_TYPES[a]),
    )
    const call: NativeCall = koffi.decode(pointers[signature.slot], proto)
    functions.set(name, call)
    return call
  }

  const fail = (pointer: Pointer | null, name: string): void => {
    if (pointer === null || pointer === 0n) return
    const code = raw('GetErrorCode')(pointer) as number
    const message = raw('GetErrorMessage')(pointer) as string
    raw('ReleaseStatus')(pointer)
    throw statusError(name, code, message)
  }

  const api: Record<string, unknown> = { version, has: (name: keyof Functions) => has(FUNCTIONS[name]) }
  for (const [name, { returns }] of Object.entries(FUNCTIONS)) {
    api[name] =
      returns === 'status'
        ? (...args: unknown[]) => fail(raw(name)(...args) as Pointer | null, name)
        : (...args: unknown[]) => raw(name)(...args)
  }
  // Arguments of calls under way: C has only their addresses, which the garbage collector does not see.
  const held = new Set<unknown[]>()
  api.later = (name: string, ...args: unknown[]) =>
    new Promise<void>((resolve, reject) => {
      held.add(args)
      raw(name).async(...args, (error: Error | null, pointer: unknown) => {
        held.delete(args)
        try {
          if (error) throw error
          fail(pointer as Pointer | null, name)
          resolve()
        } catch (caught) {
          reject(caught)
        }
      })
    })
  return api as unknown as Api
}

const ARGUMENT_TYPES: Readonly<Record<Argument, string>> = {
  pointer: 'void *',
  string: 'str',
  path: process.platform === 'win32' ? 'str16' : 'str',
  int: 'int',
  size: 'size_t',
}
const RETURN_TYPES = { status: 'void *', string: 'str', int: 'int', pointer: 'void *', void: 'void' } as const

/** Loads the library and finds `struct OrtApi` by way of `OrtGetApiBase`. */
function openTable(path: string): { version: string; table: Pointer } {
  let base: Pointer
  try {
    const problem = problemOfLibraryFile(path)
    if (problem !== undefined) throw new Error(problem)
    const library = koffi.load(path)
    loaded.push(library)
    base = library.func('OrtGetApiBase', 'void *', [])()
    if (!base) throw new Error('OrtGetApiBase gives no table')
  } catch (cause) {
    const issue = {
      code: 'RUNTIME_LIBRARY_UNUSABLE',
      message: `not a loadable ONNX Runtime library (${cause instanceof Error ? cause.message : cause})`,
      file: path,
      hint: 'give the libonnxruntime of this platform; on Linux it needs glibc 2.28 or newer',
    }
    throw new RegaugeError('environment', issue, { cause })
  }
  // struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t version); const char* (*GetVersionString)(); }
  const [getApi, getVersion]: [Pointer, Pointer] = koffi.decode(base, 'void *', 2)
  const version: string = koffi.decode(getVersion, koffi.proto('str', []))()
  const table: Pointer | null = koffi.decode(getApi, koffi.proto('void *', ['uint32']))(MINIMUM_MINOR)
  if (table === null) {
    throw new RegaugeError('environment', {
      code: 'RUNTIME_LIBRARY_OLD',
      message: `ONNX Runtime ${version} is too old`,
      file: path,
      hint: `use ONNX Runtime 1.${MINIMUM_MINOR} or newer`,
    })
  }
  return { version, table }
}

/** Held for the life of the process: a library that nothing references is unloaded, and its functions with it. */
const loaded: unknown[] = []

/** Words in which ONNX Runtime and its providers report that memory ran out; there is no status code for it. */
const OUT_OF_MEMORY = /bad_alloc|failed to allocate|out of memory|not enough memory|exceeds? .*memory limit/i

/** The error of a status; its cause is what the library said, whole. */
function statusError(name: string, code: number, message: string): RegaugeError {
  const cause = new Error(message)
  const text = ownWords(message)
  if (OUT_OF_MEMORY.test(message)) {
    const issue = {
      code: 'RUNTIME_OUT_OF_MEMORY',
      message: `ONNX Runtime ran out of memory in ${name}: ${text}`,
      hint: 'use a smaller micro-batch or a shorter sequence',
    }
    return new RegaugeError('memory', issue, { cause })
  }
  const issue = {
    code: 'RUNTIME_FAILED',
    message: `ONNX Runtime failed in ${name} (code ${code}): ${text}`,
  }
  return new RegaugeError('environment', issue, { cause })
}

/**
 * Zeroed storage for what C writes through a pointer: a pointer, a `size_t`, an `int64_t` or (being little endian) an
 * `int` each. On an explicit ArrayBuffer, since V8 keeps small typed arrays in its own heap, where they move.
 */
export function cells(count = 1): BigInt64Array {
  return new BigInt64Array(new ArrayBuffer(8 * Math.max(1, count)))
}

/** The `count` C strings in the array at `address`. */
export function stringsAt(address: Pointer, count: number): string[] {
  return pointersAt(address, count).map(stringAt)
}

/** The `count` pointers in the array at `address`. */
export function pointersAt(address: Pointer, count: number): Pointer[] {
  return count === 0 ? [] : koffi.decode(address, 'void *', count)
}

/** The C string at `address`. */
export function stringAt(address: Pointer): string {
  return koffi.decode.string(address)
}

/** Where the bytes of a view lie. They stay there for as long as its buffer is referenced. */
export function addressOf(view: ArrayBufferView): Pointer {
  return koffi.address(view)
}
