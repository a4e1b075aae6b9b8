/** @file An ONNX model as an ONNX Runtime session: its signature, its bindings and its runs. */
import { RegaugeError } from '../errors.ts'
import { DTYPE_BYTES, type DType, type TensorSpec } from '../graph/index.ts'
import { type Api, cells, type Pointer, stringAt } from './api.ts'
import type { Queue } from './queue.ts'
import type { Binding, DeviceTensor, Program } from './runtime.ts'
import { describe, elementType, type OrtTensor, sameSpec } from './tensor.ts'

/** What a program needs of the runtime that it belongs to. */
export interface Context {
  readonly api: Api
  readonly queue: Queue
  readonly profiled: boolean
  onDispose(program: Program): void
  /** The tensor as this runtime's own, or undefined when it belongs to another runtime. */
  own(tensor: DeviceTensor): OrtTensor | undefined
}

/** Wraps a session, which the program owns from here on. */
export function makeProgram(context: Context, session: Pointer): Program {
  const { api } = context
  const { inputs, outputs } = readSignature(api, session)
  const bindings = new Set<Binding>()
  let running = 0
  let disposed = false
  let profile: string | null = null

  const runSession = async (runOptions: Pointer, binding: Pointer): Promise<void> => {
    running++
    try {
      await context.queue.later('RunWithBinding', session, runOptions, binding)
    } finally {
      running--
    }
  }
  const program: Program = {
    inputs,
    outputs,
    bind(inputTensors, outputTensors) {
      if (disposed) throw new Error('a program was used after it was disposed of')
      const problems: string[] = []
      const tensors = [
        ...match(context, 'input', inputs, inputTensors, problems),
        ...match(context, 'output', outputs, outputTensors, problems),
      ]
      if (problems.length > 0) throw new Error(`cannot bind\n${problems.join('\n')}`)
      const binding = makeBinding(api, session, tensors, runSession, () => bindings.delete(binding))
      bindings.add(binding)
      return binding
    },
    endProfile() {
      if (profile === null && context.profiled && !disposed) profile = endProfile(api, session)
      return profile
    },
    dispose() {
      if (disposed) return
      if (running > 0) throw new Error('a program was disposed of while it runs')
      program.endProfile()
      disposed = true
      for (const binding of [...bindings]) binding.dispose()
      context.queue.whenIdle(() => api.ReleaseSession(session))
      context.onDispose(program)
    },
  }
  return program
}

interface Bound {
  readonly role: 'input' | 'output'
  readonly name: string
  readonly tensor: OrtTensor
  /** Held here too, so that a tensor disposed of during a run outlives the run. */
  readonly memory: ArrayBuffer | Pointer
}

function makeBinding(
  api: Api,
  session: Pointer,
  tensors: readonly Bound[],
  runSession: (runOptions: Pointer, binding: Pointer) => Promise<void>,
  onDispose: () => void,
): Binding {
  const out = cells()
  api.CreateIoBinding(session, out)
  const binding = out[0]!
  api.CreateRunOptions(out)
  const runOptions = out[0]!
  let state: 'idle' | 'running' | 'interrupted' | 'disposed' = 'idle'
  const release = (): void => {
    state = 'disposed'
    api.ReleaseIoBinding(binding)
    api.ReleaseRunOptions(runOptions)
  }
  try {
    for (const { role, name, tensor } of tensors) {
      if (role === 'input') api.BindInput(binding, name, tensor.value)
      else api.BindOutput(binding, name, tensor.value)
    }
  } catch (error) {
    release()
    throw error
  }
  return {
    // Closing over `tensors` keeps their memory from the garbage collector for as long as the binding is referenced,
    // and a run under way references the binding.
    async run() {
      if (state === 'disposed') throw new Error('a binding was used after it was disposed of')
      if (state !== 'idle') throw new Error('a binding was run while a run of it was under way')
      const gone = tensors.find(({ tensor }) => tensor.memory === null)
      if (gone !== undefined)
        throw new Error(`the tensor of ${gone.role} ${gone.name} was disposed of before the run`)
      state = 'running'
      try {
        await runSession(runOptions, binding)
      } catch (error) {
        if ((state as string) !== 'interrupted') throw error
        const issue = { code: 'RUNTIME_INTERRUPTED', message: 'a run was interrupted' }
        throw new RegaugeError('interrupted', issue, { cause: error })
      } finally {
        if ((state as string) === 'interrupted') api.RunOptionsUnsetTerminate(runOptions)
        state = 'idle'
      }
    },
    interrupt() {
      if (state !== 'running') return
      state = 'interrupted'
      api.RunOptionsSetTerminate(runOptions)
    },
    dispose() {
      if (state === 'disposed') return
      if (state !== 'idle') throw new Error('a binding was disposed of while it runs')
      release()
      onDispose()
    },
  }
}

/** Pairs each name with its tensor; adds what does not fit to `problems`. */
function match(
  context: Context,
  role: 'input' | 'output',
  specs: ReadonlyMap<string, TensorSpec>,
  tensors: ReadonlyMap<string, DeviceTensor>,
  problems: string[],
): Bound[] {
  const bound: Bound[] = []
  for (const [name, spec] of specs) {
    const given = tensors.get(name)
    const tensor = given && context.own(given)
    if (given === undefined) problems.push(`${role} ${name}: missing, expected ${describe(spec)}`)
    else if (tensor === undefined) problems.push(`${role} ${name}: the tensor belongs to another runtime`)
    else if (tensor.memory === null) problems.push(`${role} ${name}: the tensor was disposed of`)
    else if (!sameSpec(spec, tensor)) {
      problems.push(`${role} ${name}: received ${describe(tensor)}, expected ${describe(spec)}`)
    } else bound.push({ role, name, tensor, memory: tensor.memory })
  }
  for (const name of tensors.keys()) {
    if (!specs.has(name)) problems.push(`${role} ${name}: the program has no such ${role}`)
  }
  return bound
}

type Signature = Pick<Program, 'inputs' | 'outputs'>

function readSignature(api: Api, session: Pointer): Signature {
  const out = cells()
  api.GetAllocatorWithDefaultOptions(out)
  const allocator = out[0]!
  const side = (role: 'Input' | 'Output'): Map<string, TensorSpec> => {
    api[`SessionGet${role}Count`](session, out)
    const count = Number(out[0])
    const specs = new Map<string, TensorSpec>()
    for (let i = 0; i < count; i++) {
      api[`SessionGet${role}Name`](session, i, allocator, out)
      const name = stringAt(out[0]!)
      api.AllocatorFree(allocator, out[0]!)
      api[`SessionGet${role}TypeInfo`](session, i, out)
      const typeInfo = out[0]!
      try {
        specs.set(name, readSpec(api, typeInfo, `${role.toLowerCase()} ${name}`))
      } finally {
        api.ReleaseTypeInfo(typeInfo)
      }
    }
    return specs
  }
  return { inputs: side('Input'), outputs: side('Output') }
}

const DTYPES = Object.keys(DTYPE_BYTES) as readonly DType[]

function readSpec(api: Api, typeInfo: Pointer, what: string): TensorSpec {
  const fail = (message: string): never => {
    throw new RegaugeError('data', {
      code: 'RUNTIME_MODEL_UNSUPPORTED',
      message: `${what} of the model ${message}`,
    })
  }
  const out = cells()
  api.CastTypeInfoToTensorInfo(typeInfo, out)
  const info = out[0]!
  if (info === 0n) fail('is not a tensor')
  out[0] = 0n
  api.GetTensorElementType(info, out)
  const type = Number(out[0])
  const dtype = DTYPES.find((name) => elementType(name) === type)
  api.GetDimensionsCount(info, out)
  const dimensions = cells(Number(out[0]))
  const rank = Number(out[0])
  api.GetDimensions(info, dimensions, rank)
  const shape = Array.from(dimensions.subarray(0, rank), Number)
  if (shape.some((size) => size < 0))
    fail(`has a shape that is not fixed: [${shape.map((n) => (n < 0 ? '?' : n))}]`)
  return {
    dtype: dtype ?? fail(`has element type ${type} of ONNX, expected ${DTYPES}`),
    shape,
  }
}

function endProfile(api: Api, session: Pointer): string {
  const out = cells()
  api.GetAllocatorWithDefaultOptions(out)
  const allocator = out[0]!
  api.SessionEndProfiling(session, allocator, out)
  const path = stringAt(out[0]!)
  api.AllocatorFree(allocator, out[0]!)
  return path
}
