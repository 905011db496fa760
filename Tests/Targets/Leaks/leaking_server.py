# An HTTP server that keeps a random string of 10,000 to 20,000 characters every few milliseconds.
#
# leaking_server.py MILLISECONDS. Python takes the memory of so large a string from malloc. GET /,
# and a line on standard input, are answered with what has been kept so far.
import asyncio
import random
import sys

from aiohttp import web

from questions import Questions

kept = []
kept_characters = 0


def state():
  return {"count": len(kept), "characters": kept_characters}


async def leak(seconds):
  global kept_characters
  while True:
    await asyncio.sleep(seconds)
    # Each byte becomes two characters.
    text = random.randbytes(random.randint(5_000, 10_000)).hex()
    kept.append(text)
    kept_characters += len(text)


async def main(seconds):
  application = web.Application()

  async def answer(_):
    return web.json_response(state())

  application.router.add_get("/", answer)
  runner = web.AppRunner(application)
  await runner.setup()
  await web.TCPSite(runner, "127.0.0.1", 0).start()

  loop = asyncio.get_running_loop()
  ended = asyncio.Event()
  questions = Questions(state)
  loop.add_reader(0, lambda: questions.read() or ended.set())
  leaking = asyncio.create_task(leak(seconds))
  print("port", runner.addresses[0][1])
  print("ready", flush=True)
  await ended.wait()
  loop.remove_reader(0)
  leaking.cancel()
  await runner.cleanup()


asyncio.run(main(float(sys.argv[1]) / 1000))
