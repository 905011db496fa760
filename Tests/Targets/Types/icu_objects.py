# Holds objects of ICU's classes, which their library names in its table of exported symbols.
import sys

import icu

held = []
for name in ["de_DE", "fr_FR", "en_US", "ja_JP", "ar_EG", "ru_RU"]:
  locale = icu.Locale(name)
  for number in range(4):
    held += [
      locale,
      icu.Collator.createInstance(locale),
      icu.BreakIterator.createWordInstance(locale),
      icu.SimpleDateFormat("yyyy-MM-dd HH:mm", locale),
      icu.NumberFormat.createInstance(locale),
      icu.Calendar.createInstance(locale),
      icu.UnicodeSet(f"[a-z{chr(0x400 + number)}]"),
      icu.Transliterator.createInstance("Any-Latin"),
      icu.PluralRules.forLocale(locale),
      icu.TimeZone.createTimeZone("Europe/Berlin"),
    ]
print("ready", flush=True)
sys.stdin.read()
