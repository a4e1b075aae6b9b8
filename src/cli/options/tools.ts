/** @file Commands for the machine, the shell and the editor. */

import { type CommandSpec, SHELLS } from './spec.ts'

export const TOOLS = {
  doctor: {
    summary: 'Check that this machine has what regauge needs, and which runtimes it has',
    arguments: [],
    options: {
      run: {
        description: 'Run file: tells what each runtime supports of its programs',
        value: 'file',
        completes: 'run-file',
      },
    },
    examples: [
      { command: 'regauge doctor', does: 'each finding, with what to do about it' },
      {
        command: 'regauge doctor --run run.yaml',
        does: 'what each runtime takes of a run, no device needed',
      },
      {
        command: 'regauge doctor --json',
        does: 'the same for a script; exit code 3 when something is broken',
      },
    ],
  },
  completion: {
    summary: 'Print a script that completes commands and options in your shell',
    arguments: [{ name: 'shell', description: 'Your shell', required: true, choices: SHELLS }],
    options: {},
    examples: [
      { command: 'source <(regauge completion bash)', does: 'in ~/.bashrc; likewise zsh in ~/.zshrc' },
      {
        command: 'regauge completion fish > ~/.config/fish/completions/regauge.fish',
        does: 'for fish',
      },
      {
        command: 'regauge completion powershell >> profile.ps1',
        does: 'for PowerShell, the file of which $PROFILE says; not yet tried in one',
      },
    ],
  },
  schema: {
    summary: 'Print the JSON schema of run files, for editors',
    arguments: [],
    options: {},
    examples: [
      { command: 'regauge schema > run.schema.json', does: 'to a file' },
      { command: 'regauge schema | head -n 20', does: 'to look at' },
    ],
  },
} as const satisfies Record<string, CommandSpec>
