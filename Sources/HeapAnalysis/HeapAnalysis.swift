// HeapAnalysis.
