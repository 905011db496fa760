// HeapModel.
