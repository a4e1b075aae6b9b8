/** @file The one error type that reaches a person: what, where, what was received, and what to do. */

/** What went wrong, in the terms of the process exit code. */
export type ErrorKind = 'usage' | 'environment' | 'data' | 'diverged' | 'memory' | 'differs' | 'interrupted'

/** Process exit code for each kind of error; 0 is success and 1 a bug of regauge. */
export const EXIT_CODES: Readonly<Record<ErrorKind, number>> = {
  usage: 2,
  environment: 3,
  data: 4,
  diverged: 5,
  memory: 6,
  differs: 7,
  interrupted: 130,
}

/** One problem, as data. The wording of a whole report is made from these. */
export interface Issue {
  /** Stable identifier such as `RUN_UNKNOWN_KEY`. */
  readonly code: string
  /** One line, lower case after the subject: names the thing, what was received and the limit. */
  readonly message: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  /** 1-based. */
  readonly column?: number
  /** What to do about it, one line. */
  readonly hint?: string
}

/** Formats one issue as `file:line:column  message: hint`, leaving out what is unknown. */
export function formatIssue(issue: Issue): string {
  const place = [issue.file, issue.line, issue.column].filter((part) => part !== undefined).join(':')
  const text = issue.hint === undefined ? issue.message : `${issue.message}: ${issue.hint}`
  return place === '' ? text : `${place}  ${text}`
}

/** An error for the person who can mend it. Anything else that is thrown is a bug of regauge. */
export class RegaugeError extends Error {
  override readonly name = 'RegaugeError'
  readonly kind: ErrorKind
  readonly issues: readonly Issue[]

  constructor(kind: ErrorKind, issues: Issue | readonly Issue[], options?: ErrorOptions) {
    const all: readonly Issue[] = Array.isArray(issues) ? issues : [issues as Issue]
    super(all.map(formatIssue).join('\n'), options)
    this.kind = kind
    this.issues = all
  }

  get exitCode(): number {
    return EXIT_CODES[this.kind]
  }
}

/** The candidate nearest to `word` by edit distance, or undefined when none is near enough to be a typo. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  // with every letter changed it is another word
  let bestDistance = Math.min(Math.max(2, Math.floor(word.length / 3)) + 1, word.length)
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance between two short strings. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
