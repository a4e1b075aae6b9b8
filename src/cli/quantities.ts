/** @file Quantities on the command line: counts with suffixes, bandwidths, pools of chips, batches of tokens. */
import { type Issue, RegaugeError } from '../errors.ts'
import { MOST } from '../simulate/index.ts'
import { amountOf, compact, countOf, DECIMAL, grouped } from '../words.ts'

const BINARY: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, B: 2 ** 30, G: 2 ** 30 }

/** Takes the problems of a command line, so that all are told at once. */
export type Report = (issue: Issue) => void

/** Where problems are told; `end` throws a `usage` error when there were any. */
export interface Problems {
  readonly report: Report
  readonly end: () => void
}

export function problemList(): Problems {
  const issues: Issue[] = []
  return {
    report: (issue) => void issues.push(issue),
    end: () => {
      if (issues.length > 0) throw new RegaugeError('usage', issues)
    },
  }
}

/** Runs a part that throws a `usage` error, and reports what is wrong with it; undefined then. */
export function reported<Value>(report: Report, option: string, part: () => Value): Value | undefined {
  try {
    return part()
  } catch (error) {
    for (const issue of usageIssues(error)) report({ ...issue, message: `${option}: ${issue.message}` })
    return undefined
  }
}

/** The same for what takes time, where problems have their own place. */
export async function awaited<Value>(report: Report, part: Promise<Value>): Promise<Value | undefined> {
  try {
    return await part
  } catch (error) {
    usageIssues(error).forEach(report)
    return undefined
  }
}

/** The issues of a `usage` error; throws any other. */
export function usageIssues(error: unknown): readonly Issue[] {
  if (error instanceof RegaugeError && error.kind === 'usage') return error.issues
  throw error
}

/** A bandwidth in bytes per second: `50GB/s`, or in bits `400Gb/s`. Throws a `usage` error. */
export function bandwidthOf(text: string): number {
  const fail = (message: string, hint: string) =>
    new RegaugeError('usage', { code: 'CLI_BANDWIDTH', message, hint })
  const [, digits, prefix, unit] =
    /^(\d+(?:\.\d+)?)\s*([kKMGT]?)(B|b|bit|bits)(?:\/s|ps)$/.exec(text.trim()) ?? []
  const hint = 'give bytes as 50GB/s or bits as 400Gb/s'
  if (digits === undefined) throw fail(`"${text}" is not a bandwidth`, hint)
  const value = (Number(digits) * DECIMAL[prefix!.toUpperCase()]!) / (unit === 'B' ? 1 : 8)
  if (!(value >= 1e6 && value <= 1e15)) {
    throw fail(`a bandwidth of ${text} is not between 1 MB/s and 1000 TB/s`, hint)
  }
  return value
}

/** Chips of one kind as they are given: a word for the chip, how many, and what is known of their network. */
export interface PoolText {
  readonly word: string
  readonly count: number
  /** Each chip, each way, beyond its domain. */
  readonly networkBytesPerSecond?: number
}

/** Reads `chip:4096`, `4096xchip`, `chip:30K` or `chip:8192@50GB/s`. Throws a `usage` error. */
export function poolOf(text: string, example: string): PoolText {
  const fail = (message: string, hint: string) =>
    new RegaugeError('usage', { code: 'CLI_POOL', message, hint })
  const [, times, of] = /^(\d[\d._]*[kmb]?)\s*[x\u00d7*]\s*([^:@]+(?:@.*)?)$/is.exec(text.trim()) ?? []
  const [, word, number = times, network] = /^([^:@]*)(?::([^@]*))?(?:@(.*))?$/s.exec(of ?? text) ?? []
  if (word === undefined || word.trim() === '') {
    throw fail(`"${text}" names no chip`, `for instance ${example}:4096; regauge chips lists them`)
  }
  if (number === undefined) throw fail(`"${text}" does not say how many`, `for instance ${word}:4096`)
  const count = countOf(number)
  if (count === undefined || count < 1 || count > MOST.chips) {
    throw fail(
      `"${number}" chips of ${word}`,
      `give a whole number from 1 to ${MOST.chips}, for instance ${word}:4096 or ${word}:30K`,
    )
  }
  return {
    word: word.trim(),
    count,
    ...(network !== undefined && { networkBytesPerSecond: bandwidthOf(network) }),
  }
}

/** Tokens of a sequence. */
interface SequenceLength {
  readonly tokens: number
  /** How it was read, where that is not plain. */
  readonly note?: string
}

/**
 * Reads the tokens of a sequence. With a suffix they are counted as contexts are, in powers of two, and the note says
 * so: 4k is 4096. Throws a `usage` error.
 */
export function sequenceOf(text: string): SequenceLength {
  const [, digits, suffix] = /^(\d+(?:\.\d+)?)([km])$/i.exec(text.trim()) ?? []
  const tokens = digits === undefined ? countOf(text.trim()) : Number(digits) * BINARY[suffix!.toUpperCase()]!
  if (tokens === undefined || !Number.isSafeInteger(tokens) || tokens < 1) {
    const message = `"${text}" is not a number of tokens`
    throw new RegaugeError('usage', { code: 'CLI_VALUE', message, hint: 'for instance 4096 or 4k' })
  }
  return digits === undefined ? { tokens } : { tokens, note: `${text} tokens are taken as ${tokens}` }
}

/** A batch in sequences. */
export interface Batch {
  readonly sequences: number
  /** How it was read, where that is not plain, or that it is larger than any that is known. */
  readonly note?: string
}

/** Tokens of the largest batch that a published run took, 128M: that of MiniMax-01 (arXiv 2501.08313). */
const LARGEST_BATCH = 2 ** 27

/**
 * Reads a batch: sequences (`2048`, `2K`), or tokens (`16M-tokens`), which must be whole sequences. Where the decimal
 * number is none, but that of powers of two is, the latter is meant, and the note says so. Throws a `usage` error.
 */
export function batchOf(text: string, sequenceLength: number): Batch {
  const fail = (message: string, hint: string) =>
    new RegaugeError('usage', { code: 'CLI_BATCH', message, hint })
  const [, number, tokens] = /^(.*?)(-?tokens?)?$/is.exec(text.trim())!
  const count = countOf(number!)
  if (count === undefined || count < 1) {
    throw fail(`"${text}" is not a batch`, 'give sequences as 2048, or tokens as 16M-tokens')
  }
  if (tokens === undefined) {
    if (count <= MOST.globalBatch) {
      const large = largeNote(count, sequenceLength)
      return {
        sequences: count,
        ...(large !== undefined && { note: `${large}; were ${number}-tokens meant?` }),
      }
    }
    throw fail(
      `a batch of ${text} sequences is more than ${MOST.globalBatch}`,
      `were tokens meant? ${number}-tokens`,
    )
  }
  if (count / sequenceLength > MOST.globalBatch) {
    throw fail(
      `a batch of ${text} is more than ${MOST.globalBatch} sequences of ${sequenceLength}`,
      'give a smaller one',
    )
  }
  if (count % sequenceLength === 0) {
    const note = largeNote(count / sequenceLength, sequenceLength)
    return { sequences: count / sequenceLength, ...(note !== undefined && { note }) }
  }
  const suffix = /[kmbg]$/i.exec(number!)?.[0].toUpperCase()
  const binary = suffix === undefined ? undefined : Number(number!.slice(0, -1)) * BINARY[suffix]!
  if (binary !== undefined && Number.isSafeInteger(binary) && binary % sequenceLength === 0) {
    const sequences = binary / sequenceLength
    const taken = `${number} tokens are taken as ${binary}: ${sequences} sequences of ${sequenceLength}`
    const large = largeNote(sequences, sequenceLength)
    return { sequences, note: large === undefined ? taken : `${taken}; ${large}` }
  }
  const below = Math.floor(count / sequenceLength)
  throw fail(
    `${count} tokens are not whole sequences of ${sequenceLength}`,
    `give sequences, such as ${below > 0 ? `${below} or ` : ''}${below + 1}`,
  )
}

/** What to say of a batch that is larger than any that is known of; undefined for others. */
function largeNote(sequences: number, sequenceLength: number): string | undefined {
  const tokens = sequences * sequenceLength
  if (tokens <= LARGEST_BATCH) return undefined
  return `${grouped(sequences)} sequences of ${grouped(sequenceLength)} are ${compact(tokens)} tokens a step, more than any published run took (128M)`
}

/** A price such as `2.5/h`: units per hour. Throws a `usage` error. */
export function hourlyPriceOf(text: string): number {
  const [, digits] = /^(\d+(?:\.\d+)?)(?:\/h)?$/.exec(text.trim()) ?? []
  const value = Number(digits)
  if (digits !== undefined && value >= LEAST_PRICE && value <= MOST_PRICE) return value
  const what = digits === undefined ? 'is not a price' : `is not from ${LEAST_PRICE} to ${MOST_PRICE}`
  throw new RegaugeError('usage', {
    code: 'CLI_PRICE',
    message: `"${text}" ${what}`,
    hint: 'give it for an hour of a chip, for instance 2.5/h',
  })
}

/** Prices beyond these are mistakes in any currency. */
const [LEAST_PRICE, MOST_PRICE] = [1e-3, 1e6]

/** Tokens of a run. Throws a `usage` error. */
export function tokensOf(text: string): number {
  const count = countOf(text)
  if (count !== undefined && count >= 1 && count <= MOST_TOKENS) return count
  const large = amountOf(text) > MOST_TOKENS
  throw new RegaugeError('usage', {
    code: 'CLI_VALUE',
    message: large ? `"${text}" is more tokens than any run has` : `"${text}" is not a number of tokens`,
    hint: large ? `give ${MOST_TOKENS / 1e12}T at most` : 'for instance 10T, 500B or 3e11',
  })
}

/** A hundred times what the largest runs have. */
const MOST_TOKENS = 5e15
