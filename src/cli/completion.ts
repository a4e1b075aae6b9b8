/** @file Completion scripts for bash, zsh, fish and PowerShell, made from the table of commands. */
import { modelNames } from './models.ts'
import {
  COMMAND_NAMES,
  COMMANDS,
  type CommandName,
  type CommandSpec,
  GLOBAL_OPTIONS,
  type OptionSpec,
  type SHELLS,
  type WordKind,
} from './options.ts'
import { FIRST_WORDS } from './parse.ts'

export type Shell = (typeof SHELLS)[number]

const SCRIPTS: { readonly [S in Shell]: () => string } = { bash, zsh, fish, powershell }

export function completionScript(shell: Shell): string {
  return SCRIPTS[shell]()
}

interface Completed {
  readonly name: CommandName
  readonly words: readonly string[]
  readonly spec: CommandSpec
  readonly options: readonly [string, OptionSpec][]
}

const ALL: readonly Completed[] = COMMAND_NAMES.map((name) => ({
  name,
  words: name.split(' '),
  spec: COMMANDS[name],
  options: Object.entries({ ...COMMANDS[name].options, ...GLOBAL_OPTIONS }) as [string, OptionSpec][],
}))

/** Groups of commands (`runs`) with their second words. */
const GROUPS = FIRST_WORDS.map((first) => ({
  first,
  seconds: ALL.filter(({ words }) => words.length > 1 && words[0] === first).map(({ words }) => words[1]!),
})).filter(({ seconds }) => seconds.length > 0)

function summary(first: string): string {
  return first in COMMANDS
    ? COMMANDS[first as CommandName].summary
    : ALL.filter(({ words }) => words[0] === first)
        .map(({ words }) => words[1])
        .join(', ')
}

/** What stands in the place of a positional word or a value. */
function wanted(
  spec: { choices?: readonly string[]; completes?: WordKind } | undefined,
): readonly string[] | WordKind {
  return spec?.choices ?? spec?.completes ?? 'text'
}

function flags([name, option]: [string, OptionSpec]): string[] {
  return option.short === undefined ? [`--${name}`] : [`--${name}`, `-${option.short}`]
}

function bash(): string {
  const reply = (want: readonly string[] | WordKind): string => {
    if (typeof want !== 'string') return `COMPREPLY=($(compgen -W '${want.join(' ')}' -- "$cur"))`
    if (want === 'folder') return 'COMPREPLY=($(compgen -d -- "$cur"))'
    if (want === 'model') return `COMPREPLY=($(compgen -f -W '${modelNames().join(' ')}' -- "$cur"))`
    return want === 'text' ? 'COMPREPLY=()' : 'COMPREPLY=($(compgen -f -- "$cur"))'
  }
  const cases = ALL.map(({ name, spec, options }) => {
    const valued = options.filter(([, option]) => option.value !== undefined)
    const values = valued.map(
      (entry) => `      ${flags(entry).join('|')}) ${reply(wanted(entry[1]))}; return ;;`,
    )
    return [
      `  '${name}')`,
      ...(values.length > 0 ? ['    case "$prev" in', ...values, '    esac'] : []),
      `    if [[ $cur == -* ]]; then ${reply(options.map(([option]) => `--${option}`))}; return; fi`,
      `    ${reply(wanted(spec.arguments[0]))} ;;`,
    ].join('\n')
  })
  const groups = GROUPS.map(({ first, seconds }) =>
    [
      `    ${first})`,
      `      if [[ $COMP_CWORD -eq 2 && $cur != -* ]]; then ${reply(seconds)}; return; fi`,
      `      if [[ \${COMP_WORDS[2]} != -* ]]; then command="${first} \${COMP_WORDS[2]}"; fi ;;`,
    ].join('\n'),
  )
  return [
    '# bash completion of regauge',
    '_regauge() {',
    `  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}"`,
    '  COMPREPLY=()',
    `  if [[ $COMP_CWORD -eq 1 ]]; then ${reply([...FIRST_WORDS, 'help', 'version', '--help', '--version'])}; return; fi`,
    ...(groups.length > 0 ? ['  case "$command" in', ...groups, '  esac'] : []),
    '  case "$command" in',
    ...cases,
    '  esac',
    '}',
    'complete -o filenames -F _regauge regauge',
  ].join('\n')
}

function zsh(): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  const escaped = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&')
  const action = (want: readonly string[] | WordKind): string => {
    if (typeof want !== 'string') return `(${want.join(' ')})`
    if (want === 'model') return `{compadd ${modelNames().join(' ')}; _files}`
    return want === 'folder' ? '_files -/' : want === 'text' ? ' ' : '_files'
  }
  const described = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([word, text]) => quote(`${escaped(word)}:${escaped(text)}`)).join(' ')
  const cases = ALL.map(({ name, spec, options }) => {
    const specs = options.flatMap(([option, { short, value, many, description, choices, completes }]) => {
      const tail = `[${escaped(description)}]${value === undefined ? '' : `:${escaped(value)}:${action(wanted({ ...(choices && { choices }), ...(completes && { completes }) }))}`}`
      const star = many ? '*' : ''
      return [`${star}--${option}${tail}`, ...(short === undefined ? [] : [`${star}-${short}${tail}`])]
    })
    const words = spec.arguments.map(
      (argument, i) => `${argument.many ? '*' : i + 1}:${escaped(argument.name)}:${action(wanted(argument))}`,
    )
    return `    ${quote(name)}) _arguments ${[...specs, ...words].map(quote).join(' ')} ;;`
  })
  const groups = GROUPS.map(({ first, seconds }) => {
    const rows = seconds.map(
      (second) => [second, COMMANDS[`${first} ${second}` as CommandName].summary] as const,
    )
    return [
      `    ${first})`,
      `      if (( CURRENT == 3 )) && [[ $words[3] != -* ]]; then choices=(${described(rows)}); _describe command choices; return; fi`,
      `      if [[ $words[3] != -* ]]; then command="${first} $words[3]"; words=("\${(@)words[2,-1]}"); (( CURRENT-- )); fi ;;`,
    ].join('\n')
  })
  return [
    '#compdef regauge',
    '# zsh completion of regauge',
    '_regauge() {',
    '  local command="$words[2]"; local -a choices',
    `  if (( CURRENT == 2 )); then choices=(${described(FIRST_WORDS.map((first) => [first, summary(first)]))}); _describe command choices; return; fi`,
    ...(groups.length > 0 ? ['  case "$command" in', ...groups, '  esac'] : []),
    `  words=("\${(@)words[2,-1]}"); (( CURRENT-- ))`,
    '  case "$command" in',
    ...cases,
    '  esac',
    '}',
    'compdef _regauge regauge',
  ].join('\n')
}

function fish(): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const want = (kind: readonly string[] | WordKind): string => {
    if (typeof kind !== 'string') return ` -f -a ${quote(kind.join(' '))}`
    if (kind === 'model') return ` -F -a ${quote(modelNames().join(' '))}`
    return kind === 'folder' ? " -f -a '(__fish_complete_directories)'" : kind === 'text' ? ' -f' : ' -F'
  }
  const lines = ['# fish completion of regauge', 'complete -c regauge -f']
  for (const first of FIRST_WORDS) {
    lines.push(`complete -c regauge -n __fish_use_subcommand -a ${first} -d ${quote(summary(first))}`)
  }
  for (const { first, seconds } of GROUPS) {
    const condition = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${seconds.join(' ')}`
    for (const second of seconds) {
      const text = COMMANDS[`${first} ${second}` as CommandName].summary
      lines.push(`complete -c regauge -n ${quote(condition)} -a ${second} -d ${quote(text)}`)
    }
  }
  for (const { words, spec, options } of ALL) {
    const seconds = words.length > 1 ? [] : (GROUPS.find(({ first }) => first === words[0])?.seconds ?? [])
    const condition = quote(
      [
        ...words.map((word) => `__fish_seen_subcommand_from ${word}`),
        ...(seconds.length > 0 ? [`not __fish_seen_subcommand_from ${seconds.join(' ')}`] : []),
      ].join('; and '),
    )
    for (const [name, option] of options) {
      const short = option.short === undefined ? '' : ` -s ${option.short}`
      const value = option.value === undefined ? '' : ` -r${want(wanted(option))}`
      lines.push(
        `complete -c regauge -n ${condition} -l ${name}${short}${value} -d ${quote(option.description)}`,
      )
    }
    const argument = spec.arguments[0]
    if (argument !== undefined) lines.push(`complete -c regauge -n ${condition}${want(wanted(argument))}`)
  }
  return lines.join('\n')
}

/** Where nothing is offered, PowerShell itself offers files. */
function powershell(): string {
  // typographic quotes end a text as well
  const quote = (text: string): string => `'${text.replaceAll(/['\u2018-\u201b]/g, '$&$&')}'`
  const list = (words: readonly string[]): string => `@(${words.map(quote).join(', ')})`
  const map = (rows: readonly (readonly [string, string])[]): string =>
    `[ordered]@{ ${rows.map(([key, value]) => `${quote(key)} = ${value}`).join('; ')} }`
  const offered = (want: readonly string[] | WordKind): readonly string[] =>
    typeof want !== 'string' ? want : want === 'model' ? modelNames() : []
  const commands = ALL.map(({ name, spec, options }) => {
    const described = options.map(([option, { description }]) => [`--${option}`, quote(description)] as const)
    const values = options
      .filter(([, option]) => option.value !== undefined)
      .flatMap((entry) => flags(entry).map((flag) => [flag, list(offered(wanted(entry[1])))] as const))
    const words = list(offered(wanted(spec.arguments[0])))
    return `    ${quote(name)} = @{ Options = ${map(described)}; Values = ${map(values)}; Words = ${words} }`
  })
  const groups = GROUPS.map(({ first, seconds }) => {
    const rows = seconds.map(
      (second) => [second, quote(COMMANDS[`${first} ${second}` as CommandName].summary)] as const,
    )
    return `    ${quote(first)} = ${map(rows)}`
  })
  return [
    '# PowerShell completion of regauge',
    'Register-ArgumentCompleter -Native -CommandName regauge -ScriptBlock {',
    '  param($wordToComplete, $commandAst, $cursorPosition)',
    `  $first = ${map(FIRST_WORDS.map((first) => [first, quote(summary(first))]))}`,
    '  $groups = @{',
    ...groups,
    '  }',
    '  $commands = @{',
    ...commands,
    '  }',
    '  # the words before the one at the cursor',
    '  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |',
    '    ForEach-Object { $_.Extent.Text })',
    '  $offered = [ordered]@{}',
    '  if ($words.Count -le 1) {',
    '    $offered = $first',
    '  } else {',
    '    $name = $words[1]',
    '    $group = $groups[$name]',
    '    $second = if ($words.Count -gt 2) { $words[2] } else { $null }',
    "    if ($group -and -not $second -and -not $wordToComplete.StartsWith('-')) {",
    '      $offered = $group',
    '    } else {',
    '      if ($group -and $second -and $group.Contains($second)) { $name = "$name $second" }',
    '      $command = $commands[$name]',
    '      if ($command) {',
    '        $last = $words[-1]',
    '        $wanted = @()',
    '        if ($command.Values.Contains($last)) { $wanted = $command.Values[$last] }',
    "        elseif ($wordToComplete.StartsWith('-')) { $offered = $command.Options }",
    '        else { $wanted = $command.Words }',
    '        foreach ($word in $wanted) { $offered[$word] = $word }',
    '      }',
    '    }',
    '  }',
    '  foreach ($entry in $offered.GetEnumerator()) {',
    '    if ($entry.Key.StartsWith($wordToComplete)) {',
    "      [System.Management.Automation.CompletionResult]::new($entry.Key, $entry.Key, 'ParameterValue', $entry.Value)",
    '    }',
    '  }',
    '}',
  ].join('\n')
}
