/** @file From the words of a command line to an exit code: dispatch, and the telling of errors. */

import { formatIssue, RegaugeError } from '../errors.ts'
import { harmless } from '../harmless.ts'
import { BUGS, VERSION } from '../version.ts'
import type { Command } from './context.ts'
import { helpText } from './help.ts'
import type { CommandName, OptionValues } from './options.ts'
import { type ParsedLine, parseLine } from './parse.ts'
import { type Output, openTerminal, type Terminal } from './ui/terminal.ts'

/** Modules of the commands, loaded when they are called, so that `--help` is quick. */
const MODULES: { readonly [C in CommandName]: () => Promise<{ run: Command<C> }> } = {
  init: () => import('./commands/init.ts'),
  check: () => import('./commands/check.ts'),
  train: () => import('./commands/train.ts'),
  eval: () => import('./commands/eval.ts'),
  sample: () => import('./commands/sample.ts'),
  verify: () => import('./commands/verify.ts'),
  runs: () => import('./commands/runs-list.ts'),
  'runs list': () => import('./commands/runs-list.ts'),
  'runs show': () => import('./commands/runs-show.ts'),
  'runs compare': () => import('./commands/runs-compare.ts'),
  'runs rm': () => import('./commands/runs-rm.ts'),
  chips: () => import('./commands/chips.ts'),
  'chips show': () => import('./commands/chips-show.ts'),
  'chips compare': () => import('./commands/chips-compare.ts'),
  plan: () => import('./commands/plan.ts'),
  simulate: () => import('./commands/simulate.ts'),
  doctor: () => import('./commands/doctor.ts'),
  completion: () => import('./commands/completion.ts'),
  schema: () => import('./commands/schema.ts'),
}

/** Runs one command line and gives its exit code: 0, or one of EXIT_CODES, or 1 for a bug. Never throws. */
export async function runCli(
  words: readonly string[],
  streams: { stdout: Output; stderr: Output },
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const terminal = openTerminal(streams.stdout, streams.stderr, env)
  const end = words.indexOf('--')
  const json = words.slice(0, end < 0 ? undefined : end).includes('--json')
  try {
    const request = await parseLine(words)
    if (request.kind === 'help') terminal.data(helpText(request.topic, terminal.colors).trimEnd())
    else if (request.kind === 'version') terminal.data(VERSION)
    else return (await runCommand(request.line, json, terminal)) ?? 0
    return 0
  } catch (error) {
    return reportError(error, json, terminal)
  }
}

async function runCommand<C extends CommandName>(
  line: ParsedLine & { readonly command: C },
  json: boolean,
  terminal: Terminal,
): Promise<number | undefined> {
  const module = await MODULES[line.command]()
  // The parser has filled the options by the same table that their type is made from.
  const options = line.options as OptionValues<C>
  return module.run({ arguments: line.arguments, options, json, terminal })
}

/** Tells an error, as JSON on stdout or as lines on stderr, and gives the exit code. */
export function reportError(thrown: unknown, json: boolean, terminal: Terminal): number {
  const error = refusal(thrown) ?? thrown
  if (error instanceof RegaugeError) {
    const { kind, exitCode, issues } = error
    if (json) terminal.data(JSON.stringify({ error: { code: kind, exit: exitCode, issues } }))
    else for (const line of errorLines(error, terminal)) terminal.talk(line)
    return exitCode
  }
  const bug = error instanceof Error ? error : new Error(String(error))
  if (json) {
    const issue = { code: 'BUG', message: bug.message, hint: `report it at ${BUGS}`, stack: bug.stack }
    terminal.data(JSON.stringify({ error: { code: 'bug', exit: 1, issues: [issue] } }))
  } else {
    const { talkColors: colors } = terminal
    terminal.talk(
      `${colors.red('This is a bug of regauge')}, not of yours. Report it at ${BUGS} with these lines:`,
    )
    terminal.talk(`regauge ${VERSION}, Node ${process.versions.node}, ${process.platform} ${process.arch}`)
    terminal.talk(colors.dim(bug.stack ?? bug.message))
  }
  return 1
}

/** What to do when the system refuses a file or a folder, by its error code. */
const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'change its permissions or choose another folder',
  EPERM: 'change its permissions or choose another folder',
  EROFS: 'the disk is read-only; choose another folder',
  ENOSPC: 'the disk is full; free space or choose another folder',
  EDQUOT: 'the disk quota is used up; free space or choose another folder',
  EISDIR: 'a folder stands where a file is needed; move it away',
  ENOTDIR: 'a file stands where a folder is needed; move it away',
  EEXIST: 'something else stands there; move it away',
  EMFILE: 'too many files are open; raise the limit with ulimit -n',
  EIO: 'the disk fails; check it',
}

/** An error of the system that no room has put into words, as one for people; undefined for any other. */
function refusal(error: unknown): RegaugeError | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, syscall, path, message } = error as NodeJS.ErrnoException
  const hint = code === undefined || syscall === undefined ? undefined : REFUSALS[code]
  if (hint === undefined) return undefined
  const issue = { code: 'SYSTEM_REFUSED', message, hint, ...(path !== undefined && { file: path }) }
  return new RegaugeError('environment', issue, { cause: error })
}

function errorLines(error: RegaugeError, { talkColors: colors }: Terminal): string[] {
  const lines = error.issues.map((issue) => {
    const { file: _, line: __, column: ___, ...placeless } = issue
    const whole = printable(formatIssue(issue))
    const text = printable(formatIssue(placeless))
    const place = whole.slice(0, whole.length - text.length)
    return place === '' ? `${colors.red('error')}  ${text}` : `${colors.cyan(place)}${text}`
  })
  const started = error.kind === 'usage' ? ' Nothing was started.' : ''
  return error.issues.length > 1 ? [...lines, `${error.issues.length} problems.${started}`] : lines
}

/** On one line, and harmless: a message may show what a file holds. */
function printable(text: string): string {
  return harmless(text).replaceAll(/\s*\n\s*/g, ' ')
}
