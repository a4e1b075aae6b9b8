/** @file Whether a run has text enough, in words for `check` and for `train`. */
import type { CorpusSplit } from '../../data/index.ts'
import { RegaugeError } from '../../errors.ts'
import type { ResolvedRun } from '../run/index.ts'

/** What a person is to know of the text before it is trained on: nothing, where there is plenty. */
export function textNotes(run: ResolvedRun, split: CorpusSplit, tokens: number | undefined): string[] {
  const { train, data } = run
  const notes: string[] = []
  if (split.tail !== undefined) {
    const { documents, length, source } = split.tail
    const whole = documents === 1 ? 'the text is one document' : `${documents} documents are too few to split`
    notes.push(`${whole}: the last ${length} characters of ${source} are held out, the rest is trained on`)
  }
  const sequences = tokens === undefined ? train.batchSize : sequencesOf(run, tokens)
  if (sequences < train.batchSize) {
    const short = `the training text has ${tokens} tokens, less than one batch`
    const reason = `${train.batchSize} sequences of ${data.sequenceLength} make a batch, the text makes ${sequences}`
    const remedy = 'each step repeats them; add text, or lower train.batchSize or data.sequenceLength'
    notes.push(`${short}: ${reason}, and ${remedy}`)
  }
  return notes
}

/** Throws when the training text does not make one sequence. */
export function requireSequence(run: ResolvedRun, tokens: number): void {
  if (sequencesOf(run, tokens) > 0) return
  throw new RegaugeError('data', {
    code: 'DATA_TOO_SHORT',
    message: `the training text has ${tokens} tokens, a sequence needs ${run.data.sequenceLength + 1}`,
    hint: 'add text, or lower data.sequenceLength',
  })
}

/** Whole sequences of the training text; each has a token more, to predict. */
function sequencesOf({ data }: ResolvedRun, tokens: number): number {
  return Math.floor((tokens - 1) / data.sequenceLength)
}
