/** @file Words of a command line to a command, its arguments and its options; every mistake at once. */
import { parseArgs } from 'node:util'
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import { amountOf, countOf } from '../words.ts'
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

/** What the line asks for: a command to run, help for one or for all, or the version. */
export type Request =
  | { readonly kind: 'run'; readonly line: ParsedLine }
  | { readonly kind: 'help'; readonly topic: CommandName | undefined }
  | { readonly kind: 'version' }

/** First words of commands: `init`, `train`, `runs`. */
export const FIRST_WORDS: readonly string[] = [...new Set(COMMAND_NAMES.map((name) => name.split(' ')[0]!))]

/** Words that ask for the version, as in other tools. */
const VERSION_WORDS: readonly string[] = ['--version', '-V', '-v', 'version']

/** Throws a `usage` error that holds every mistake of the line. */
export async function parseLine(words: readonly string[]): Promise<Request> {
  const [first, second] = words
  if (first === undefined || first === '--help' || first === '-h') return { kind: 'help', topic: undefined }
  if (first === 'help') return { kind: 'help', topic: helpTopic(words.slice(1)) }
  if (VERSION_WORDS.includes(first)) {
    if (second === undefined || second === '--json') return { kind: 'version' }
    throw usageError('CLI_ARGUMENT', `${first} stands alone, got "${second}"`, 'see regauge --help')
  }
  if (first.startsWith('-')) {
    throw usageError('CLI_NO_COMMAND', `a command comes before ${first}`, 'see regauge --help')
  }
  const name = commandName(first, second)
  const rest = words.slice(name.includes(' ') ? 2 : 1)
  if (asksHelp(rest)) return { kind: 'help', topic: name }
  return { kind: 'run', line: await parseCommand(name, rest) }
}

function usageError(code: string, message: string, hint: string): RegaugeError {
  return new RegaugeError('usage', { code, message, hint })
}

function asksHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return words.slice(0, end < 0 ? undefined : end).some((word) => word === '--help' || word === '-h')
}

function helpTopic([first, second]: readonly string[]): CommandName | undefined {
  return first === undefined ? undefined : commandName(first, second)
}

/** The command that the words name: that of two words where the second is one of its group. */
function commandName(first: string, second: string | undefined): CommandName {
  const direct = COMMAND_NAMES.find((name) => name === first)
  if (direct === undefined)
    throw unknownCommand(first, first, [...FIRST_WORDS, 'help', 'version'], 'see regauge --help')
  const group = COMMAND_NAMES.filter((name) => name.startsWith(`${first} `)).map(
    (name) => name.split(' ')[1]!,
  )
  if (group.length === 0 || second === undefined || second.startsWith('-')) return direct
  const full = COMMAND_NAMES.find((name) => name === `${first} ${second}`)
  if (full !== undefined) return full
  throw unknownCommand(`${first} ${second}`, second, group, `${first} takes ${group.join(', ')}`)
}

function unknownCommand(
  shown: string,
  word: string,
  known: readonly string[],
  otherwise: string,
): RegaugeError {
  const near = nearest(word, known)
  const hint = near === undefined ? otherwise : `did you mean "${near}"?`
  return usageError('CLI_UNKNOWN_COMMAND', `unknown command "${shown}"`, hint)
}

async function parseCommand(command: CommandName, words: readonly string[]): Promise<ParsedLine> {
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
  // words behind unknown options, which may be theirs or the command's own
  let doubtful = 0
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'option') given.add(token.name)
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined
    if (option === undefined) {
      const next = tokens[i + 1]
      const behind = token.value === undefined && next?.kind === 'positional' ? next.value : undefined
      if (behind !== undefined) doubtful++
      const { hint, meant } = await unknownOption(command, spec, token.name, token.value ?? behind)
      if (meant !== undefined) given.add(meant)
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
  checkArguments(command, spec, positionals, doubtful, problem)
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

/**
 * What to write in the place of an unknown option, and the option of the command that was meant: one that other tools
 * call so, a value of the run file, or the one with the nearest name.
 */
async function unknownOption(
  command: CommandName,
  { options }: CommandSpec,
  name: string,
  value: string | undefined,
): Promise<{ readonly hint: string; readonly meant?: string }> {
  const known: Record<string, OptionSpec> = { ...options, ...GLOBAL_OPTIONS }
  const names = Object.keys(known)
  const word = name.toLowerCase().replaceAll('_', '-')
  const meant = names.find((one) => one === word || known[one]!.also?.includes(word))
  if (meant !== undefined) return { hint: `did you mean --${meant}?`, meant }
  if (Object.hasOwn(options, 'set')) {
    const { knownName, knownNames, settingHint } = await import('../train/index.ts')
    const near = nearest(name, [...names, ...knownNames()])
    const setting = knownName(name) ?? (near && !names.includes(near) ? knownName(near) : undefined)
    if (setting !== undefined) return { hint: settingHint(setting, value) }
  }
  const near = nearest(name, names)
  if (near === undefined) return { hint: `see regauge ${command} --help` }
  return { hint: `did you mean --${near}?`, meant: near }
}

type Report = (code: string, message: string, hint?: string) => void

function readValue(name: string, text: string, option: OptionSpec, problem: Report): unknown {
  if (option.choices !== undefined && !option.choices.includes(text)) {
    const near = nearest(text, option.choices)
    const hint = near === undefined ? undefined : `did you mean "${near}"?`
    problem('CLI_VALUE', `${name} must be one of ${option.choices.join(', ')}, got "${text}"`, hint)
  }
  if (option.kind === undefined) return text
  const number = numberOf(text, option.kind)
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

/** A number as in code, or with a suffix: 4096, 30K, 0.5, 1e-3. */
function numberOf(text: string, kind: 'number' | 'integer'): number {
  const plain = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isNaN(plain)) return plain
  return kind === 'integer' ? (countOf(text) ?? Number.NaN) : amountOf(text)
}

/** `doubtful` of the words may belong to options that are not known. */
function checkArguments(
  command: string,
  spec: CommandSpec,
  words: readonly string[],
  doubtful: number,
  problem: Report,
): void {
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
    } else if (argument.choices !== undefined && doubtful === 0 && !argument.choices.includes(word)) {
      problem(
        'CLI_ARGUMENT',
        `<${argument.name}> must be one of ${argument.choices.join(', ')}, got "${word}"`,
      )
    }
  }
  const extra = words[spec.arguments.length + doubtful]
  if (extra !== undefined && !spec.arguments.some((argument) => argument.many)) {
    const hint = extra.includes('=') ? `did you mean --set ${extra}?` : `see regauge ${command} --help`
    problem('CLI_ARGUMENT', `${command} takes no further argument, got "${extra}"`, hint)
  }
}
