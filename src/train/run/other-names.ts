/** @file What other tools call the keys of the run file: Hugging Face Trainer, axolotl, nanoGPT, torchtune, Megatron-LM. */
import { nearest } from '../../errors.ts'
import { type Path, pathsOf } from '../../formats/index.ts'
import { runSchema } from './schema.ts'

/** Names of other tools for one key of the run file, or for what is no key here. */
interface OtherNames {
  readonly names: readonly string[]
  /** The key here, dotted. */
  readonly here?: string
  /** The value of it that such a switch stands for. */
  readonly value?: string
  /** How it is done where it is no key, or what to mind about the key. */
  readonly say?: string
}

/** In the order of the run file. Names are compared without case, dashes and underscores. */
export const OTHER_NAMES: readonly OtherNames[] = [
  { here: 'name', names: ['run_name', 'wandb_name', 'experiment_name'] },
  { here: 'seed', names: ['random_seed', 'data_seed'] },

  {
    here: 'model.from',
    names: [
      'base_model',
      'model_name_or_path',
      'model_name',
      'pretrained_model_name_or_path',
      'init_from',
      'checkpoint_dir',
      'pretrained_checkpoint',
    ],
    say: 'a folder on this machine',
  },
  { here: 'model.config', names: ['config_name', 'base_model_config', 'model_config'] },
  { here: 'model.overrides.hidden_size', names: ['n_embd', 'd_model', 'embed_dim', 'dim'] },
  { here: 'model.overrides.num_hidden_layers', names: ['n_layer', 'n_layers', 'num_layers'] },
  { here: 'model.overrides.num_attention_heads', names: ['n_head', 'n_heads', 'num_heads'] },
  { here: 'model.overrides.num_key_value_heads', names: ['num_query_groups', 'n_kv_heads', 'num_kv_heads'] },
  { here: 'model.overrides.intermediate_size', names: ['ffn_hidden_size', 'intermediate_dim', 'hidden_dim'] },
  { here: 'model.overrides.head_dim', names: ['kv_channels'] },
  { here: 'model.overrides.rope_theta', names: ['rotary_base', 'rope_base'] },
  { here: 'model.overrides.rms_norm_eps', names: ['norm_epsilon', 'norm_eps', 'layernorm_epsilon'] },
  { here: 'model.overrides.initializer_range', names: ['init_method_std'] },
  { here: 'model.overrides.tie_word_embeddings', names: ['untie_embeddings_and_output_weights'] },

  {
    here: 'tokenizer.file',
    names: [
      'tokenizer_name',
      'tokenizer_name_or_path',
      'tokenizer_model',
      'tokenizer_config',
      'tokenizer_path',
    ],
    say: 'a tokenizer.json',
  },

  {
    here: 'data.train',
    names: [
      'dataset',
      'datasets',
      'dataset_name',
      'train_file',
      'train_data',
      'data_path',
      'data_dir',
      'source',
    ],
    say: 'files, folders or globs',
  },
  {
    here: 'data.heldout',
    names: ['val_set_size', 'test_datasets', 'validation_file', 'valid_data_path', 'eval_dataset', 'split'],
    say: 'paths, or { fraction: 0.01 }',
  },
  { here: 'data.field', names: ['text_column', 'dataset_text_field', 'json_keys', 'field_text', 'column'] },
  {
    here: 'data.sequenceLength',
    names: [
      'seq_length',
      'seq_len',
      'sequence_len',
      'max_seq_length',
      'max_seq_len',
      'max_length',
      'block_size',
      'context_length',
      'cutoff_len',
      'seq',
    ],
  },

  { here: 'train.steps', names: ['max_steps', 'max_iters', 'train_iters', 'iterations', 'iters'] },
  { here: 'train.tokens', names: ['max_tokens', 'train_tokens'] },
  { here: 'train.epochs', names: ['num_train_epochs', 'num_epochs', 'max_epochs'] },
  { here: 'train.batchSize', names: ['global_batch_size', 'train_batch_size', 'total_batch_size'] },
  {
    here: 'train.microBatchSize',
    names: ['per_device_train_batch_size', 'device_batch_size', 'local_batch_size'],
    say: 'train.batchSize is that of the whole step',
  },
  {
    here: 'train.microBatchSize',
    names: ['gradient_accumulation_steps', 'gradient_accumulation', 'accumulate_grad_batches'],
    say: 'train.batchSize over it is how many are accumulated',
  },
  {
    here: 'train.recompute',
    value: 'layer',
    names: ['gradient_checkpointing', 'enable_activation_checkpointing', 'activation_checkpointing'],
  },
  { here: 'train.recompute', names: ['recompute_granularity', 'activation_checkpoint_mode'] },
  { here: 'train.precision', names: ['dtype', 'mixed_precision', 'torch_dtype'] },
  { here: 'train.precision', value: 'bfloat16', names: ['bf16'] },
  { here: 'train.precision', value: 'float16', names: ['fp16'] },
  { here: 'train.precision', value: 'float32', names: ['fp32'] },

  { here: 'optimizer.learningRate', names: ['lr', 'max_lr', 'peak_lr', 'base_lr'] },
  {
    here: 'optimizer.betas',
    names: ['adam_beta1', 'adam_beta2', 'beta1', 'beta2'],
    say: 'a list of both, such as [0.9, 0.95]',
  },
  { here: 'optimizer.epsilon', names: ['eps', 'adam_eps', 'adam_epsilon'] },
  { here: 'optimizer.weightDecay', names: ['wd', 'adam_wd'] },
  {
    here: 'optimizer.clipNorm',
    names: ['grad_clip', 'clip_grad', 'max_grad_norm', 'clip_grad_norm', 'max_norm', 'gradient_clip_val'],
  },

  { here: 'schedule.kind', names: ['lr_scheduler', 'lr_scheduler_type', 'lr_decay_style', 'scheduler'] },
  {
    here: 'schedule.warmupSteps',
    names: ['warmup_iters', 'lr_warmup_iters', 'lr_warmup_steps', 'num_warmup_steps', 'warmup'],
  },
  {
    here: 'schedule.warmupSteps',
    names: ['warmup_ratio', 'lr_warmup_fraction', 'warmup_fraction'],
    say: 'below 1 it is a share of all steps',
  },
  {
    here: 'schedule.finalFraction',
    names: ['min_lr', 'min_lr_ratio', 'min_lr_factor', 'cosine_min_lr_ratio'],
    say: 'the last learning rate over the peak',
  },
  { here: 'schedule.decaySteps', names: ['lr_wsd_decay_iters', 'num_decay_steps', 'decay_iters'] },
  { names: ['lr_decay_iters', 'lr_decay_steps', 'decay_lr'], say: 'the rate falls until the last step' },

  {
    here: 'evaluate.everySteps',
    names: [
      'eval_steps',
      'eval_interval',
      'eval_every',
      'evals_per_epoch',
      'val_check_interval',
      'eval_freq',
    ],
  },
  { here: 'evaluate.batches', names: ['eval_iters', 'eval_batches', 'max_eval_steps'] },
  { here: 'evaluate.samples', names: ['sample_prompts', 'prompts'] },

  {
    here: 'checkpoint.everySteps',
    names: [
      'save_steps',
      'save_interval',
      'saves_per_epoch',
      'save_every',
      'checkpoint_interval',
      'save_freq',
    ],
  },
  { here: 'checkpoint.keepLast', names: ['save_total_limit', 'keep_latest_k', 'max_checkpoints'] },
  {
    here: 'log.everySteps',
    names: ['logging_steps', 'log_interval', 'log_every_n_steps', 'log_freq', 'log_every', 'print_every'],
  },
  { here: 'output', names: ['output_dir', 'out_dir', 'save', 'save_dir', 'dump_folder', 'default_root_dir'] },

  {
    names: [
      'resume',
      'resume_from_checkpoint',
      'auto_resume_from_checkpoints',
      'load',
      'ckpt_path',
      'continue',
    ],
    say: 'give the folder of the run to go on with: regauge train runs/NAME',
  },
  {
    names: ['device', 'use_cpu', 'no_cuda', 'accelerator', 'device_map'],
    say: 'where it runs is said on the command line: --on',
  },
  {
    names: [
      'gpus',
      'num_gpus',
      'nproc_per_node',
      'num_processes',
      'devices',
      'nnodes',
      'deepspeed',
      'fsdp',
      'fsdp_config',
    ],
    say: 'a run trains on one device; regauge plan is for many',
  },
  {
    names: [
      'tensor_model_parallel_size',
      'pipeline_model_parallel_size',
      'tensor_parallel_size',
      'pipeline_parallel_size',
      'context_parallel_size',
    ],
    say: 'a run trains on one device; the layouts of many are those of regauge plan',
  },
  {
    names: [
      'adapter',
      'use_peft',
      'lora_r',
      'lora_alpha',
      'lora_rank',
      'load_in_4bit',
      'load_in_8bit',
      'qlora',
    ],
    say: 'all weights are trained; there are no adapters',
  },
  { names: ['dropout', 'attention_dropout', 'hidden_dropout'], say: 'there is none' },
  { names: ['compile', 'torch_compile'], say: 'every step is compiled; leave it out' },
  {
    names: ['report_to', 'wandb_project', 'wandb_log', 'use_wandb', 'tensorboard_dir', 'logging_dir'],
    say: 'every run writes events.jsonl and TensorBoard files in its folder; leave it out',
  },
  {
    names: ['eval_strategy', 'evaluation_strategy'],
    say: 'evaluate.everySteps says when; leave it out',
  },
  {
    names: ['save_strategy', 'logging_strategy'],
    say: 'checkpoint.everySteps and log.everySteps say when; leave it out',
  },
  {
    names: ['overwrite_output_dir', 'overwrite'],
    say: 'nothing is overwritten: give the run another name, or remove the old one by regauge runs rm NAME',
  },
  { names: ['do_train', 'do_eval'], say: 'regauge train trains, regauge eval measures; leave it out' },
  { names: ['sample_packing', 'packing'], say: 'documents are always packed; leave it out' },
  {
    names: ['dataloader_num_workers', 'num_workers', 'dataset_prepared_path', 'preprocessing_num_workers'],
    say: 'text is read and kept as tokens by itself; leave it out',
  },
]

/** What a word that is no key of the run file stands for. */
export interface KnownName {
  /** Keys that it may mean, dotted; none where there is no such thing here. */
  readonly keys: readonly string[]
  readonly value?: string
  readonly say?: string
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[-_]/g, '')

/** Names of keys at all depths and of other tools, to look for mistyped ones among them. */
export function knownNames(): string[] {
  const own = pathsOf(runSchema).map((path) => path.at(-1)!)
  return [...new Set([...own, ...OTHER_NAMES.flatMap(({ names }) => names)])]
}

/**
 * What a word means in the run file, which may be dotted (`optimizer.lr`): a key of that name at any depth, whatever
 * its case, dashes and underscores, or the name that another tool has for one; undefined when nobody calls anything so.
 */
export function knownName(word: string): KnownName | undefined {
  const last = plain(word.split('.').at(-1)!)
  const own = pathsOf(runSchema).filter((path) => plain(path.at(-1)!) === last)
  if (own.length > 0) {
    const keys = own.map((path) => path.join('.'))
    const whole = keys.filter((key) => plain(key) === plain(word))
    return { keys: whole.length > 0 ? whole : keys }
  }
  const row = OTHER_NAMES.find(({ names }) => names.some((name) => plain(name) === last))
  if (row === undefined) return undefined
  const { here, value, say } = row
  return {
    keys: here === undefined ? [] : [here],
    ...(value !== undefined && { value }),
    ...(say !== undefined && { say }),
  }
}

/** A word of fewer letters is near to too many names to be a mistyped one of them. */
const LEAST_LETTERS = 4

/** The same for a word that may be mistyped. */
export function nearName(word: string): KnownName | undefined {
  const last = word.split('.').at(-1)!
  const long = (name: string): boolean => name.length >= LEAST_LETTERS
  const near = long(last) ? nearest(last, knownNames().filter(long)) : undefined
  return near === undefined ? undefined : knownName(near)
}

/** What to write on the command line in the place of a word that was given this value. */
export function settingHint({ keys, value, say }: KnownName, given: string | undefined): string {
  if (keys.length === 0) return say!
  // what is to be minded about the key holds of its value too
  const set = value ?? (say === undefined ? given : undefined)
  const words = keys.map((key) => `--set ${key}=${set ?? '...'}`)
  return `write ${either(words)}${say === undefined ? '' : ` (${say})`}`
}

/**
 * What to write in a run file in the place of an unknown key of a section that has the keys `here`; undefined where
 * nothing is near to it.
 */
export function keyHint(parent: Path, key: string, here: readonly string[]): string | undefined {
  const known = knownName([...parent, key].join('.'))
  if (known === undefined) {
    const near = nearest(key, here)
    if (near !== undefined) return `did you mean "${near}"?`
    const other = nearName(key)
    return other && `did you mean ${inWords(other)}?`
  }
  const own = known.keys.map((path) => path.split('.'))
  const inside = own.find((path) => path.slice(0, -1).join('.') === parent.join('.'))?.at(-1)
  if (inside !== undefined && known.value === undefined) return `did you mean "${inside}"?`
  if (own.length > 0 && own.every((path) => path.at(-1) === key)) {
    return `it belongs in ${either(own.map((path) => path.slice(0, -1).join('.') || 'no section'))}`
  }
  return known.keys.length === 0 ? known.say : `it is ${inWords(known)} here`
}

function inWords({ keys, value, say }: KnownName): string {
  if (keys.length === 0) return say!
  const words = keys.map((key) => (value === undefined ? key : `${key}: ${value}`))
  return `${either(words)}${say === undefined ? '' : ` (${say})`}`
}

/** `a, b or c`. */
function either(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
