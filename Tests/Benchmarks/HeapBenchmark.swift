@main struct HeapBenchmark { static func main() {} }
