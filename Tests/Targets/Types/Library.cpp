// A shared library with a class of its own.

namespace library {
struct Thing {
  virtual ~Thing();
  virtual int thing() const;
  long t = 9;
};
Thing::~Thing() {}
int Thing::thing() const { return 1; }
} // namespace library
