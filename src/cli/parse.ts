/** @file Words of a command line to a command, its arguments and its options; every mistake at once. */
import { parseArgs } from 'node:util'
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import {
  COMMAND_NAMES,
  COMMANDS,
  type CommandName,
  type CommandSpec,
  GLOBAL_OPTIONS,
  type OptionSpec,
} from './options.ts'

export interface ParsedLine {
  readonly command: CommandName
  readonly arguments: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
}

/** What the line asks for: a command to run, help for a topic (a command or its first word), or the version. */
export type Request =
  | { readonly kind: 'run'; readonly line: ParsedLine }
  | { readonly kind: 'help'; readonly topic: string }
  | { readonly kind: 'version' }

/** First words of commands: `init`, `train`, `runs`. */
export const FIRST_WORDS: readonly string[] = [...new Set(COMMAND_NAMES.map((name) => name.split(' ')[0]!))]

/** Throws a `usage` error that holds every mistake of the line. */
export function parseLine(words: readonly string[]): Request {
  const [first, second] = words
  if (first === undefined || first === '--help' || first === '-h') return { kind: 'help', topic: '' }
  if (first === 'help') return { kind: 'help', topic: helpTopic(words.slice(1)) }
  if (first === '--version' || first === '-V') return { kind: 'version' }
  if (first.startsWith('-')) {
    const issue = {
      code: 'CLI_NO_COMMAND',
      message: `a command comes before ${first}`,
      hint: 'see regauge --help',
    }
    throw new RegaugeError('usage', issue)
  }
  const name = commandName(first, second)
  if (name === undefined) return { kind: 'help', topic: first }
  const rest = words.slice(name.includes(' ') ? 2 : 1)
  if (asksHelp(rest)) return { kind: 'help', topic: name }
  return { kind: 'run', line: parseCommand(name, rest) }
}

function asksHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return words.slice(0, end < 0 ? undefined : end).some((word) => word === '--help' || word === '-h')
}

function helpTopic(words: readonly string[]): string {
  if (words.length === 0) return ''
  return commandName(words[0]!, words[1]) ?? words[0]!
}

/** The command that the words name; undefined for the first word of a group alone (`runs`) that is no command itself. */
function commandName(first: string, second: string | undefined): CommandName | undefined {
  const direct = COMMAND_NAMES.find((name) => name === first)
  const group = COMMAND_NAMES.filter((name) => name.startsWith(`${first} `)).map(
    (name) => name.split(' ')[1]!,
  )
  if (group.length > 0) {
    if (second === undefined || second.startsWith('-')) return direct
    const full = COMMAND_NAMES.find((name) => name === `${first} ${second}`)
    if (full !== undefined) return full
    throw unknownCommand(`${first} ${second}`, second, group, `${first} takes ${group.join(', ')}`)
  }
  if (direct !== undefined) return direct
  throw unknownCommand(first, first, FIRST_WORDS, 'see regauge --help')
}

function unknownCommand(
  shown: string,
  word: string,
  known: readonly string[],
  otherwise: string,
): RegaugeError {
  const near = nearest(word, known)
  const hint = near === undefined ? otherwise : `did you mean "${near}"?`
  return new RegaugeError('usage', {
    code: 'CLI_UNKNOWN_COMMAND',
    message: `unknown command "${shown}"`,
    hint,
  })
}

function parseCommand(command: CommandName, words: readonly string[]): ParsedLine {
  const spec: CommandSpec = COMMANDS[command]
  const known: Record<string, OptionSpec> = { ...spec.options, ...GLOBAL_OPTIONS }
  const issues: Issue[] = []
  const problem = (code: string, message: string, hint?: string): void => {
    issues.push({ code, message, ...(hint !== undefined && { hint }) })
  }
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(known).map(([name, option]) => [
        name,
        {
          type: option.value === undefined ? ('boolean' as const) : ('string' as const),
          ...(option.short !== undefined && { short: option.short }),
        },
      ]),
    ),
  })

  const positionals: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(known)) {
    if (name !== 'help') values[name] = option.many ? [] : option.value === undefined ? false : undefined
  }
  const given = new Set<string>()
  for (const token of tokens) {
    if (token.kind === 'option') given.add(token.name)
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined
    if (option === undefined) {
      const near = nearest(token.name, Object.keys(known))
      const hint = near === undefined ? `see regauge ${command} --help` : `did you mean --${near}?`
      problem('CLI_UNKNOWN_OPTION', `unknown option ${token.rawName}`, hint)
    } else if (option.value === undefined) {
      if (token.value !== undefined)
        problem('CLI_VALUE', `${token.rawName} takes no value, got "${token.value}"`)
      values[token.name] = true
    } else if (token.value === undefined || token.value === '') {
      problem('CLI_VALUE', `${token.rawName} needs a value`, `${token.rawName} <${option.value}>`)
    } else {
      const value = readValue(token.rawName, token.value, option, problem)
      if (option.many) (values[token.name] as unknown[]).push(value)
      else values[token.name] = value
    }
  }
  checkArguments(command, spec, positionals, problem)
  for (const [name, { required, value }] of Object.entries(known)) {
    if (!required || given.has(name)) continue
    problem(
      'CLI_OPTION',
      `${command} needs --${name} <${value}>`,
      `for instance: ${spec.examples[0].command}`,
    )
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return { command, arguments: positionals, options: values }
}

type Report = (code: string, message: string, hint?: string) => void

function readValue(name: string, text: string, option: OptionSpec, problem: Report): unknown {
  if (option.choices !== undefined && !option.choices.includes(text)) {
    const near = nearest(text, option.choices)
    const hint = near === undefined ? undefined : `did you mean "${near}"?`
    problem('CLI_VALUE', `${name} must be one of ${option.choices.join(', ')}, got "${text}"`, hint)
  }
  if (option.kind === undefined) return text
  const number = text.trim() === '' ? Number.NaN : Number(text)
  const { least = 0 } = option
  if (
    !Number.isFinite(number) ||
    number < least ||
    (option.kind === 'integer' && !Number.isSafeInteger(number))
  ) {
    const expected = `${option.kind === 'integer' ? 'a whole number' : 'a number'}, ${least} or more`
    problem('CLI_VALUE', `${name} must be ${expected}, got "${text}"`)
  }
  return number
}

function checkArguments(command: string, spec: CommandSpec, words: readonly string[], problem: Report): void {
  for (const [i, argument] of spec.arguments.entries()) {
    const word = words[i]
    if (word === undefined) {
      if (argument.required) {
        problem(
          'CLI_ARGUMENT',
          `${command} needs <${argument.name}>`,
          `for instance: ${spec.examples[0].command}`,
        )
      }
    } else if (argument.choices !== undefined && !argument.choices.includes(word)) {
      problem(
        'CLI_ARGUMENT',
        `<${argument.name}> must be one of ${argument.choices.join(', ')}, got "${word}"`,
      )
    }
  }
  const extra = words[spec.arguments.length]
  if (extra !== undefined && !spec.arguments.some((argument) => argument.many)) {
    const hint = extra.includes('=') ? `did you mean --set ${extra}?` : `see regauge ${command} --help`
    problem('CLI_ARGUMENT', `${command} takes no further argument, got "${extra}"`, hint)
  }
}
