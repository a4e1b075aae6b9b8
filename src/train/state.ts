/** @file The training state as tensors on the device: parameters and what the optimizer keeps, filled tensor by tensor. */
import { join } from 'node:path'
import { type Issue, RegaugeError } from '../errors.ts'
import {
  openSafetensorsFolder,
  readSafetensorChunks,
  readSafetensorsHeader,
  type SafetensorsDType,
  type SafetensorsFile,
  toFloat32,
} from '../formats/index.ts'
import { sameShape } from '../graph/index.ts'
import {
  type Architecture,
  initialValues,
  type Parameter,
  parametersOf,
  tensorNames,
} from '../model/index.ts'
import type { DeviceTensor, Runtime } from '../runtime/index.ts'
import { type OptimizerKind, optimizerState, type StateTensor } from '../steps/index.ts'
import { CHECKPOINT_FILES, type Checkpoint } from './checkpoint/files.ts'
import type { ResolvedRun } from './run/index.ts'

/** Named float32 tensors that live from run to run. One that no program may write over in place has a spare. */
export interface TensorSlots {
  readonly names: readonly string[]
  /** The tensor that holds the values now. */
  current(name: string): DeviceTensor
  /** The tensor to write the next values to, where not over the current one; made when first asked for. */
  spare(name: string): DeviceTensor
  /** Makes the spare the current one. */
  swap(name: string): void
  /** Which of the two tensors is current: a binding is made for one or the other. */
  side(name: string): 0 | 1
  dispose(): void
}

/** Parameters, and what an optimizer keeps for them. */
export interface TrainingState extends TensorSlots {
  readonly parameters: readonly Parameter[]
  /** In the order of the optimizer's file. */
  readonly optimizer: readonly StateTensor[]
}

/** Allocates the state, all zeros. Without an optimizer it is enough to evaluate and to generate. */
export function allocateState(runtime: Runtime, a: Architecture, kind?: OptimizerKind): TrainingState {
  const parameters = parametersOf(a)
  const optimizer = kind === undefined ? [] : optimizerState(kind, parameters)
  const shapes = new Map([...parameters, ...optimizer].map(({ name, shape }) => [name, shape]))
  return { parameters, optimizer, ...allocateSlots(runtime, shapes) }
}

/** Allocates float32 tensors by name, all zeros. */
export function allocateSlots(runtime: Runtime, shapes: ReadonlyMap<string, readonly number[]>): TensorSlots {
  const allocate = (name: string) => runtime.allocate({ dtype: 'float32', shape: shapes.get(name)! })
  const slots = new Map<string, { tensors: (DeviceTensor | undefined)[]; side: 0 | 1 }>()
  for (const name of shapes.keys()) slots.set(name, { tensors: [allocate(name), undefined], side: 0 })
  const slotOf = (name: string) => {
    const slot = slots.get(name)
    if (slot === undefined) throw new Error(`the state has no tensor ${name}`)
    return slot
  }
  return {
    names: [...shapes.keys()],
    current(name) {
      const { tensors, side } = slotOf(name)
      return tensors[side]!
    },
    spare(name) {
      const { tensors, side } = slotOf(name)
      tensors[1 - side] ??= allocate(name)
      return tensors[1 - side]!
    },
    swap(name) {
      const slot = slotOf(name)
      slot.side = slot.side === 0 ? 1 : 0
    },
    side: (name) => slotOf(name).side,
    dispose() {
      for (const { tensors } of slots.values()) for (const tensor of tensors) tensor?.dispose()
    },
  }
}

/** Fills the state with what a run begins from: a checkpoint, else the weights that it names, else first values. */
export async function fillState(
  state: TrainingState,
  run: ResolvedRun,
  a: Architecture,
  checkpoint: Checkpoint | undefined,
): Promise<void> {
  const { from } = run.model
  if (checkpoint !== undefined) {
    await loadWeights(state, a, checkpoint.folder)
    await loadOptimizer(state, join(checkpoint.folder, CHECKPOINT_FILES.optimizer))
  } else if (from !== undefined) await loadWeights(state, a, from)
  else await initializeState(state, a, run.seed)
}

/** Fills the parameters with first values that depend on the seed alone. */
export async function initializeState(state: TrainingState, a: Architecture, seed: number): Promise<void> {
  for (const parameter of state.parameters) {
    const values = initialValues(a, parameter, seed)
    await state
      .current(parameter.name)
      .write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
}

/**
 * Reads the parameters from a Hugging Face folder (one file or shards; F32, F16, BF16 or F64). Throws
 * `RegaugeError('data')` that lists every tensor that is missing, unknown, or of another shape or type.
 */
export async function loadWeights(state: TrainingState, a: Architecture, folder: string): Promise<void> {
  const { wanted, found } = await weightsIn(folder, a)
  requireFit(wanted, found, folder)
  await fill(state, wanted, found)
}

/** Throws as `loadWeights` does, on what the headers say: the values are not read. */
export async function checkWeights(a: Architecture, folder: string): Promise<void> {
  const { wanted, found } = await weightsIn(folder, a)
  requireFit(wanted, found, folder)
}

async function weightsIn(folder: string, a: Architecture): Promise<{ wanted: Shapes; found: Tensors }> {
  const { tensors } = await openSafetensorsFolder(folder)
  const nameOf = tensorNames(a)
  const found = new Map<string, FoundTensor>()
  for (const [stored, tensor] of tensors) {
    const name = nameOf(stored)
    if (name !== undefined) found.set(name, { ...tensor, stored })
  }
  return { wanted: new Map(parametersOf(a).map(({ name, shape }) => [name, shape])), found }
}

/** Reads what the optimizer keeps from the `optimizer.safetensors` of a checkpoint. Throws as `loadWeights` does. */
export async function loadOptimizer(state: TrainingState, path: string): Promise<void> {
  const file = await readSafetensorsHeader(path)
  const found = new Map([...file.tensors].map(([name, entry]) => [name, { file, entry, stored: name }]))
  const wanted = new Map(state.optimizer.map(({ name, shape }) => [name, shape]))
  requireFit(wanted, found, path, "the optimizer's state")
  await fill(state, wanted, found)
}

const FLOATS: readonly SafetensorsDType[] = ['F32', 'F16', 'BF16', 'F64']

/** The most problems that one message lists. */
const MOST = 50

type Shapes = ReadonlyMap<string, readonly number[]>
/** A tensor of a file, under the name that it is stored by. */
interface FoundTensor {
  readonly file: SafetensorsFile
  readonly entry: { readonly dtype: SafetensorsDType; readonly shape: readonly number[] }
  readonly stored: string
}
/** By the names of what is trained. */
type Tensors = ReadonlyMap<string, FoundTensor>

/** Throws unless the tensors that are found are those that are wanted. */
function requireFit(wanted: Shapes, found: Tensors, place: string, whole = 'this architecture'): void {
  const issues: Issue[] = []
  const report = (code: string, message: string, file = place) => void issues.push({ code, message, file })
  for (const [name, shape] of wanted) {
    const tensor = found.get(name)
    if (tensor === undefined) {
      report('WEIGHTS_MISSING', `tensor ${name} is missing, expected [${shape}]`)
      continue
    }
    const { dtype, shape: received } = tensor.entry
    if (!sameShape(received, shape)) {
      report('WEIGHTS_SHAPE', `tensor ${name} has shape [${received}], expected [${shape}]`, tensor.file.path)
    }
    if (!FLOATS.includes(dtype)) {
      report(
        'WEIGHTS_TYPE',
        `tensor ${name} is ${dtype}, expected one of ${FLOATS.join(', ')}`,
        tensor.file.path,
      )
    }
  }
  for (const [name, { file }] of found) {
    if (!wanted.has(name)) report('WEIGHTS_UNKNOWN', `tensor ${name} is not part of ${whole}`, file.path)
  }
  if (issues.length > 0) {
    const rest = issues.length - MOST
    if (rest > 0)
      issues.splice(MOST, rest, { code: 'WEIGHTS_MORE', message: `and ${rest} more`, file: place })
    throw new RegaugeError('data', issues)
  }
}

async function fill(state: TrainingState, wanted: Shapes, found: Tensors): Promise<void> {
  for (const name of wanted.keys()) {
    const { file, entry, stored } = found.get(name)!
    const tensor = state.current(name)
    // what does not lie in host memory is sent as a whole
    const whole = tensor.hostView(0, 0) === null ? new Uint8Array(tensor.byteLength) : undefined
    let offset = 0
    for await (const chunk of readSafetensorChunks(file, stored)) {
      const values = toFloat32(chunk, entry.dtype)
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      if (whole === undefined) await tensor.write(bytes, offset)
      else whole.set(bytes, offset)
      offset += bytes.byteLength
    }
    if (whole !== undefined) await tensor.write(whole)
  }
}
