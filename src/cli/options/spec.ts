/** @file What the table of commands says of each: its words, options, arguments and examples. */

/** What a word on the command line stands for, for completion. */
export type WordKind = 'run-file' | 'folder' | 'file' | 'model' | 'text'

export interface OptionSpec {
  readonly description: string
  /** One letter. */
  readonly short?: string
  /** Placeholder of the value; an option without one is a flag. */
  readonly value?: string
  readonly kind?: 'number' | 'integer'
  /** The least number; 0 when left out. */
  readonly least?: number
  /** What other tools call it: not taken, but known for what is meant. */
  readonly also?: readonly string[]
  /** May be given more than once; the values are a list. */
  readonly many?: true
  /** The command needs it. */
  readonly required?: true
  readonly choices?: readonly string[]
  readonly completes?: WordKind
  /** Shown in help; the command fills it in. */
  readonly default?: string
}

/** Shells that commands are completed in. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const

export interface ArgumentSpec {
  readonly name: string
  readonly description: string
  readonly required?: true
  /** Takes all words that are left. */
  readonly many?: true
  readonly choices?: readonly string[]
  readonly completes?: WordKind
}

export interface Example {
  readonly command: string
  readonly does: string
}

export interface CommandSpec {
  readonly summary: string
  readonly details?: string
  readonly arguments: readonly ArgumentSpec[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly examples: readonly [Example, Example, ...Example[]]
}
