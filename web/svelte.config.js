// Svelte's own options: runes everywhere in our code, the libraries' as they are.

export default {
  compilerOptions: { runes: undefined },
  vitePlugin: {
    dynamicCompileOptions: ({ filename }) => (filename.includes('node_modules') ? {} : { runes: true }),
  },
};
