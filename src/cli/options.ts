/** @file The one table of commands and options: parsing, help, errors and shell completion are made from it. */
import { CHIPS } from './options/chips.ts'
import { PLANNING } from './options/planning.ts'
import { RUNS } from './options/runs.ts'
import type { CommandSpec, OptionSpec } from './options/spec.ts'
import { TOOLS } from './options/tools.ts'
import { TRAINING } from './options/training.ts'

export {
  type ArgumentSpec,
  type CommandSpec,
  type OptionSpec,
  SHELLS,
  type WordKind,
} from './options/spec.ts'

/** Options of every command. */
export const GLOBAL_OPTIONS = {
  json: { description: 'Print results and errors as JSON' },
  help: { description: 'Show help', short: 'h' },
} as const satisfies Record<string, OptionSpec>

/** Commands by name; a name of two words is a command and its sub-command. */
export const COMMANDS = {
  ...TRAINING,
  ...RUNS,
  ...CHIPS,
  ...PLANNING,
  ...TOOLS,
} as const satisfies Record<string, CommandSpec>

export type CommandName = keyof typeof COMMANDS
export const COMMAND_NAMES = Object.keys(COMMANDS) as readonly CommandName[]

type OptionsOf<C extends CommandName> = (typeof COMMANDS)[C]['options']
type ValueOf<S> = S extends { many: true }
  ? readonly string[]
  : S extends { value: string }
    ?
        | (S extends { kind: 'number' | 'integer' } ? number : string)
        | (S extends { required: true } ? never : undefined)
    : boolean

/** Values of the options of a command as its module receives them, keyed by the option's name. */
export type OptionValues<C extends CommandName> = {
  readonly [K in keyof OptionsOf<C>]: ValueOf<OptionsOf<C>[K]>
}
