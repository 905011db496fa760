// Types (to come).
final class TypeIndex {}
