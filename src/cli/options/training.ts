/** @file Commands that begin a run, train it, use what it learnt, and prove it the same elsewhere. */

import { PROVIDER_NAMES } from '../../runtime/names.ts'
import { allowHost, on, runOrFolder, runsFolder, set, threads, trained } from './shared.ts'
import type { CommandSpec } from './spec.ts'

export const TRAINING = {
  init: {
    summary: 'Write a commented run file to begin with',
    details:
      'Text and model are looked at first. An existing file is not overwritten unless --force says so.',
    arguments: [{ name: 'file', description: 'File to write; run.yaml when left out', completes: 'file' }],
    options: {
      recipe: {
        description: 'What the run is to do',
        short: 'r',
        value: 'name',
        choices: ['scratch', 'jsonl', 'continue'],
        default: 'scratch',
      },
      data: {
        description: 'Text to train on: file, folder or glob',
        short: 'd',
        value: 'path',
        many: true,
        completes: 'file',
      },
      from: {
        description: 'Hugging Face folder to go on from (recipe continue)',
        value: 'folder',
        completes: 'folder',
      },
      name: {
        description: 'Name of the run',
        short: 'n',
        value: 'name',
        default: 'that of the folder, or the first after it that is free',
      },
      force: {
        description: 'Overwrite the file, and name text and model that are not there yet',
        short: 'f',
        also: ['overwrite'],
      },
    },
    examples: [
      { command: 'regauge init --data "books/*.txt"', does: 'a new model from text files' },
      {
        command: 'regauge init tune.yaml --recipe continue --from ./llama --data notes.txt',
        does: 'fine-tune a model',
      },
    ],
  },
  check: {
    summary: 'Check a run file and show what the run will take, without training',
    arguments: [runOrFolder],
    options: {
      set,
      on: { ...on, default: 'where it ran last, or the fastest' },
      'allow-host': allowHost,
      threads,
    },
    examples: [
      { command: 'regauge check', does: 'check run.yaml: keys, files, parameters, memory, time' },
      { command: 'regauge check run.yaml --set model.preset=small', does: 'the same with a larger model' },
      { command: 'regauge check runs/books', does: 'a run to resume, where it would go on' },
    ],
  },
  train: {
    summary: 'Train, or go on with a run that was stopped',
    details:
      'Ctrl-C once saves a checkpoint and stops; twice stops at once. Given the folder of a run, it resumes exactly.',
    arguments: [runOrFolder],
    options: {
      set,
      on: { ...on, default: 'where it ran last, or the fastest' },
      'allow-host': allowHost,
      threads,
    },
    examples: [
      { command: 'regauge train run.yaml', does: 'start a new run' },
      { command: 'regauge train run.yaml --set train.steps=100 --set seed=2', does: 'with other values' },
      { command: 'regauge train runs/books', does: 'resume where it stopped' },
      { command: `regauge train runs/books --on ${PROVIDER_NAMES[1]}`, does: 'move it to another runtime' },
    ],
  },
  sample: {
    summary: 'Continue a text with a trained model',
    details: 'The prompt is read from standard input when it is left out and input is piped.',
    arguments: [trained, { name: 'prompt', description: 'Text to continue', completes: 'text' }],
    options: {
      tokens: {
        description: 'Tokens to write at most',
        also: ['max-new-tokens', 'max-tokens', 'length'],
        short: 't',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '200',
      },
      temperature: {
        description: '0 takes the likeliest token',
        also: ['temp'],
        value: 'number',
        kind: 'number',
        default: '0.8',
      },
      'top-k': {
        description: 'Sample from the k likeliest tokens',
        value: 'count',
        kind: 'integer',
        least: 1,
      },
      'top-p': {
        description: 'Sample from the likeliest tokens of this total probability',
        value: 'share',
        kind: 'number',
      },
      seed: { description: 'Same seed, same text', value: 'number', kind: 'integer', default: '1' },
      on: { ...on, default: PROVIDER_NAMES[0]! },
      threads,
    },
    examples: [
      { command: 'regauge sample runs/books "Once upon a time"', does: 'from the newest checkpoint' },
      { command: 'regauge sample runs/books "The" --temperature 0 --tokens 50', does: 'the likeliest words' },
      { command: 'regauge sample ./llama --json < prompt.txt', does: 'text, tokens and speed as JSON' },
    ],
  },
  eval: {
    summary: 'Measure loss and bits per byte on held-out text',
    arguments: [trained],
    options: {
      data: {
        description: 'Text to measure on: file, folder or glob',
        short: 'd',
        value: 'path',
        many: true,
        completes: 'file',
        default: "the run's held-out text",
      },
      batches: { description: 'Batches at most', value: 'count', kind: 'integer', least: 1, default: 'all' },
      on: { ...on, default: PROVIDER_NAMES[0]! },
      threads,
    },
    examples: [
      { command: 'regauge eval runs/books', does: 'on the text that the run held out' },
      { command: 'regauge eval ./llama --data news.txt --json', does: 'a Hugging Face model on other text' },
    ],
  },
  verify: {
    summary: 'Prove that a run is the same on another runtime, or the same as another run',
    details: 'Exit code 0 when they are the same, also when only within the published criteria; 7 when not.',
    arguments: [
      {
        name: 'run',
        description: 'Names or folders of two runs: is the second the first?',
        many: true,
        completes: 'folder',
      },
    ],
    options: {
      run: {
        description: 'Run file for --on',
        short: 'r',
        value: 'file',
        completes: 'run-file',
        default: 'run.yaml',
      },
      on: {
        description: `Runtimes to train on: ${PROVIDER_NAMES.join(', ')}; the first is the reference`,
        value: 'runtimes',
      },
      steps: {
        description: 'Steps to do on each runtime',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '50',
      },
      'gradients-every': {
        description: 'Compare the tensors at each so many steps',
        value: 'steps',
        kind: 'integer',
        least: 1,
        default: '1',
      },
      out: { description: 'Write the comparison as a page', short: 'o', value: 'file', completes: 'file' },
      set,
      threads,
      'allow-host': allowHost,
      runs: runsFolder,
    },
    examples: [
      {
        command: `regauge verify --run run.yaml --on ${PROVIDER_NAMES.slice(0, 2).join(',')} --steps 100 --out verify.html`,
        does: 'the same 100 steps on two runtimes',
      },
      { command: 'regauge verify books books-moved', does: 'a run, and the same one after it was moved' },
    ],
  },
} as const satisfies Record<string, CommandSpec>
