/** @file What a command receives: its words, and the two streams that it may speak on. */
import type { CommandName, OptionValues } from './options.ts'
import type { Terminal } from './ui/terminal.ts'

export interface CommandContext<C extends CommandName> {
  readonly arguments: readonly string[]
  readonly options: OptionValues<C>
  /** Results are to be printed as JSON. */
  readonly json: boolean
  readonly terminal: Terminal
}

/** What a command's module exports as `run`. It throws RegaugeError; it may give an exit code other than 0. */
export type Command<C extends CommandName> = (context: CommandContext<C>) => Promise<number | undefined>
