/** @file Writes a checkpoint: beside its place, checked, then renamed; what is kept is never touched before that. */
import { mkdir, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RegaugeError } from '../../errors.ts'
import { hashFile, hfConfigText, type SafetensorsTensor, writeSafetensors } from '../../formats/index.ts'
import { type Architecture, className, parameterCount, parametersOf } from '../../model/index.ts'
import type { DeviceTensor } from '../../runtime/index.ts'
import { type OptimizerKind, optimizerStateBytes } from '../../steps/index.ts'
import type { TrainingState } from '../state.ts'
import {
  type CheckpointState,
  checkpointName,
  type ExactSettings,
  CHECKPOINT_FILES as FILES,
  hashText,
  removePartial,
  retainCheckpoints,
  stateText,
  verifyCheckpoint,
} from './files.ts'

/** All that goes into a checkpoint. */
export interface CheckpointContent {
  readonly architecture: Architecture
  readonly state: TrainingState
  /** Files that are copied as they are, by name: the tokenizer's. */
  readonly copies: Readonly<Record<string, string>>
  readonly eosId: number | undefined
  readonly version: string
  readonly runtime: string
  readonly step: number
  readonly seed: number
  readonly tokens: number
  readonly seconds: number
  readonly lossScale?: CheckpointState['lossScale']
  readonly settings: ExactSettings
}

export interface CheckpointPolicy {
  readonly keepLast: number
  readonly keepEvery?: number | undefined
}

export interface WrittenCheckpoint {
  readonly folder: string
  readonly bytes: number
}

/**
 * Writes `<folder>/step-…`: into a temporary folder, to the disk itself, read back and compared, renamed. Older ones
 * are deleted by the policy only after that. Throws `RegaugeError('environment')` when the disk has no room, and
 * leaves everything as it was.
 */
export async function writeCheckpoint(
  folder: string,
  content: CheckpointContent,
  policy: CheckpointPolicy,
): Promise<WrittenCheckpoint> {
  const final = join(folder, checkpointName(content.step))
  const temporary = join(folder, `.${checkpointName(content.step)}.${process.pid}.partial`)
  try {
    await mkdir(folder, { recursive: true })
    await removePartial(folder)
    await checkSpace(folder, stateBytes(content.state))
    await mkdir(temporary)
    await writeFiles(temporary, content)
    await syncFolder(temporary)
    const { state } = await verifyCheckpoint(temporary, { files: true })
    await rm(final, { recursive: true, force: true }) // the same step again, after going back to an older checkpoint
    await rename(temporary, final)
    await syncFolder(folder)
    await retainCheckpoints(folder, policy)
    return { folder: final, bytes: Object.values(state.files).reduce((sum, { bytes }) => sum + bytes, 0) }
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    throw writeError(folder, error)
  }
}

/** Bytes that a checkpoint takes: weights and the optimizer's state in float32; what is beside them is small. */
export function checkpointBytes(a: Architecture, kind: OptimizerKind): number {
  return 4 * parameterCount(a) + optimizerStateBytes(kind, parametersOf(a))
}

function stateBytes(state: TrainingState): number {
  return state.names.reduce((bytes, name) => bytes + state.current(name).byteLength, 0)
}

/** Room left for the small files and the headers. */
const SPARE_BYTES = 16 * 2 ** 20

/** Throws when the disk of `folder`, or of the nearest folder above it that exists, has no room for `bytes`. */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  let at = folder
  let found = await statfs(at).catch(() => undefined)
  while (found === undefined && dirname(at) !== at) {
    at = dirname(at)
    found = await statfs(at).catch(() => undefined)
  }
  if (found === undefined) return
  const free = found.bavail * found.bsize
  if (free >= bytes + SPARE_BYTES) return
  throw new RegaugeError('environment', {
    code: 'CHECKPOINT_NO_SPACE',
    message: `a checkpoint takes ${mebibytes(bytes + SPARE_BYTES)}, the disk has ${mebibytes(free)} free`,
    file: folder,
    hint: 'free space, keep fewer checkpoints (checkpoint.keepLast), or choose another output folder',
  })
}

async function writeFiles(at: string, content: CheckpointContent): Promise<void> {
  const { architecture, state, step, seed, tokens, seconds, settings, version, runtime, eosId, lossScale } =
    content
  const files: Record<string, { bytes: number; sha256: string }> = {}
  const text = async (name: string, value: string | Uint8Array): Promise<void> => {
    await writeDurably(join(at, name), value)
    files[name] = { bytes: (await stat(join(at, name))).size, sha256: await hashFile(join(at, name)) }
  }
  const tensors = (list: readonly { readonly name: string }[]) =>
    list.map(({ name }) => tensorOf(name, state.current(name)))
  files[FILES.weights] = await writeSafetensors(join(at, FILES.weights), tensors(state.parameters), {
    format: 'pt',
  })
  files[FILES.optimizer] = await writeSafetensors(join(at, FILES.optimizer), tensors(state.optimizer), {
    step: String(step),
  })
  await text(FILES.config, hfConfigText(checkpointConfig(architecture)))
  await text(
    FILES.generation,
    `${JSON.stringify(eosId === undefined ? {} : { eos_token_id: eosId }, null, 2)}\n`,
  )
  for (const [name, source] of Object.entries(content.copies)) await text(name, await readFile(source))
  const fingerprint = hashText(JSON.stringify(settings))
  const record: CheckpointState = {
    format: 1,
    version,
    runtime,
    step,
    seed,
    tokens,
    seconds,
    ...(lossScale !== undefined && { lossScale }),
    settings,
    fingerprint,
    files,
  }
  await writeDurably(join(at, FILES.state), stateText(record))
}

/** The `config.json` of a checkpoint: what the architecture was read from, with what is now so. */
export function checkpointConfig(a: Architecture): Record<string, unknown> {
  const { torch_dtype: _, ...config } = a.config
  return {
    ...config,
    architectures: [className(a.family)],
    model_type: a.family,
    vocab_size: a.vocabularySize,
    dtype: 'float32',
  }
}

/** Bytes of a tensor that are held at a time while it is written. */
const PART_BYTES = 16 * 2 ** 20

function tensorOf(name: string, tensor: DeviceTensor): SafetensorsTensor {
  async function* data(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < tensor.byteLength; at += PART_BYTES) {
      yield await tensor.read(at, Math.min(PART_BYTES, tensor.byteLength - at))
    }
  }
  return { name, dtype: 'F32', shape: tensor.shape, data }
}

/** Writes a file and waits until it is on the disk itself. */
export async function writeDurably(path: string, value: string | Uint8Array): Promise<void> {
  await writeFile(path, value, { flush: true })
}

/** Makes what was created or renamed in a folder survive a power failure, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return // folders cannot be opened there
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function writeError(folder: string, error: unknown): unknown {
  // what the formats say of a file in the temporary folder is said of the checkpoint
  const source = error instanceof RegaugeError && error.kind === 'environment' ? error.cause : error
  const code = (source as NodeJS.ErrnoException | undefined)?.code
  if (typeof code !== 'string') return error
  const reasons: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'a file may not become as large as it must (EFBIG)',
    EROFS: 'the disk is read-only',
    EACCES: 'the folder may not be written',
  }
  const message = `the checkpoint was not written: ${reasons[code] ?? code}`
  const hint =
    'the checkpoints before it are as they were; free space or choose another output folder, then go on'
  const issue = { code: 'CHECKPOINT_UNWRITABLE', message, file: folder, hint }
  return new RegaugeError('environment', issue, { cause: error })
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
