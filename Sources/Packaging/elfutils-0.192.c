// The functions that the static libraries of elfutils 0.192 (Debian 13) call and do not contain, its
// bug 32293. Linked only where they are missing.
//
// Each has a tree, of which the first word is a root as tsearch(3) has it, and a lock behind it. The lock
// is not taken: malloscope asks each handle of elfutils from one thread only.
#define _GNU_SOURCE
#include <search.h>
#include <stddef.h>

struct tree {
  void *root;
};

typedef int compare(const void *, const void *);

void eu_search_tree_init(struct tree *tree) { tree->root = NULL; }

void eu_tdestroy(struct tree *tree, void (*release)(void *)) {
  tdestroy(tree->root, release);
  tree->root = NULL;
}

void eu_search_tree_fini(struct tree *tree, void (*release)(void *)) { eu_tdestroy(tree, release); }

void *eu_tsearch(const void *key, struct tree *tree, compare *order) {
  return tsearch(key, &tree->root, order);
}

void *eu_tfind(const void *key, struct tree *tree, compare *order) {
  return tfind(key, &tree->root, order);
}

void *eu_tdelete(const void *key, struct tree *tree, compare *order) {
  return tdelete(key, &tree->root, order);
}
