/** The API reference, which `npm run docs:api` writes: a page a name of every entry. */
import { OptionDefaults } from 'typedoc'

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'regauge',
  readme: 'none',
  tsconfig: 'tsconfig.build.json',
  entryPoints: ['index', 'graph', 'planner', 'chips', 'formats', 'verify'].map((entry) => `src/${entry}.ts`),
  out: '.cache/api',
  blockTags: [...OptionDefaults.blockTags, '@file'],
  disableSources: true,
  // a type of an entry may be made of what is not in it, such as the list of its words
  validation: { notExported: false, invalidLink: true, rewrittenLink: true },
  treatWarningsAsErrors: true,
}
