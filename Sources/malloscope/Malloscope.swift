@main struct Malloscope { static func main() {} }
