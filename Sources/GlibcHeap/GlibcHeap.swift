// GlibcHeap.
