/** @file Help texts, made from the table of commands. */
import { EXIT_CODES } from '../errors.ts'
import {
  type ArgumentSpec,
  COMMAND_NAMES,
  COMMANDS,
  type CommandName,
  type CommandSpec,
  GLOBAL_OPTIONS,
  type OptionSpec,
} from './options.ts'
import type { Colors } from './ui/terminal.ts'

/** Help for one command, or for all of regauge. */
export function helpText(topic: CommandName | undefined, colors: Colors): string {
  if (topic !== undefined) return commandHelp(topic, colors)
  const start: [string, string][] = [
    ['regauge init --name books --data "books/*.txt"', 'write run.yaml'],
    ['regauge train', 'train; the live view shows how it learns'],
    ['regauge sample runs/books "Once upon a time"', 'read what it writes'],
  ]
  return [
    'regauge trains language models from Node: the training step is one ONNX graph.',
    '',
    `${colors.bold('Usage')}  regauge <command> [options]`,
    '',
    colors.bold('Commands'),
    ...columns(
      COMMAND_NAMES.map((name) => [name, COMMANDS[name].summary]),
      colors,
    ),
    '',
    colors.bold('Begin with'),
    ...columns(start, colors),
    '',
    colors.bold('Options'),
    ...columns([...optionRows(GLOBAL_OPTIONS), ['-v, --version', 'Show the version']], colors),
    '',
    colors.bold('Exit codes'),
    `  ${exitCodes()}`,
    '',
    'regauge <command> --help shows more, with examples.',
    '',
  ].join('\n')
}

function commandHelp(name: CommandName, colors: Colors): string {
  const spec: CommandSpec = COMMANDS[name]
  const words = spec.arguments.map(argumentUsage)
  const below = COMMAND_NAMES.filter((other) => other.startsWith(`${name} `))
  const rows = spec.arguments.map((argument): [string, string] => [
    argumentUsage(argument),
    argument.description + choices(argument.choices),
  ])
  return [
    `${spec.summary}.`,
    ...(spec.details === undefined ? [] : [spec.details]),
    '',
    `${colors.bold('Usage')}  ${['regauge', name, ...words, '[options]'].join(' ')}`,
    '',
    ...(rows.length === 0 ? [] : [colors.bold('Arguments'), ...columns(rows, colors), '']),
    ...(below.length === 0
      ? []
      : [
          colors.bold('Commands'),
          ...columns(
            below.map((other) => [other, COMMANDS[other].summary]),
            colors,
          ),
          '',
        ]),
    colors.bold('Options'),
    ...columns(optionRows({ ...spec.options, ...GLOBAL_OPTIONS }), colors),
    '',
    colors.bold('Examples'),
    ...spec.examples.flatMap(({ command, does }) => [`  ${colors.dim(`# ${does}`)}`, `  ${command}`]),
    '',
  ].join('\n')
}

function argumentUsage({ name, required, many }: ArgumentSpec): string {
  const dots = many ? '...' : ''
  return required ? `<${name}>${dots}` : `[${name}]${dots}`
}

function optionRows(options: Readonly<Record<string, OptionSpec>>): [string, string][] {
  return Object.entries(options).map(([name, option]) => {
    const short = option.short === undefined ? '    ' : `-${option.short}, `
    const value = option.value === undefined ? '' : ` <${option.value}>`
    const fallback = option.default === undefined ? '' : ` (default: ${option.default})`
    const required = option.required ? ' (required)' : ''
    return [`${short}--${name}${value}`, option.description + choices(option.choices) + fallback + required]
  })
}

function choices(values: readonly string[] | undefined): string {
  return values === undefined ? '' : `: ${values.join(', ')}`
}

function columns(rows: readonly (readonly [string, string])[], colors: Colors): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${colors.cyan(left.padEnd(width))}  ${right}`)
}

function exitCodes(): string {
  const kinds = Object.entries(EXIT_CODES).map(([kind, code]) => `${code} ${kind}`)
  return ['0 ok', '1 bug', ...kinds].join(' · ')
}
