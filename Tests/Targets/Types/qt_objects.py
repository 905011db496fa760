# Holds objects of Qt's classes, and those that they have behind them.
import sys

from PySide2 import QtCore

application = QtCore.QCoreApplication([])
held = []
for number in range(20):
  parent = QtCore.QObject()
  held += [
    parent,
    QtCore.QTimer(parent),
    QtCore.QThread(),
    QtCore.QBuffer(parent),
    QtCore.QFile("a file"),
    QtCore.QStringListModel(["one", "two"]),
    QtCore.QSortFilterProxyModel(),
    QtCore.QProcess(),
    QtCore.QParallelAnimationGroup(),
    QtCore.QTimeLine(),
    QtCore.QStateMachine(),
    QtCore.QEventLoop(),
    QtCore.QMimeData(),
    QtCore.QTextStream(),
    QtCore.QItemSelectionModel(),
  ]
print("ready", flush=True)
sys.stdin.read()
