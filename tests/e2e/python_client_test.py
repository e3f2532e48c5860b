"""python3-redis, the client library of the distribution, used as its documentation shows.

What would break: Python programs written for Redis. `python_client_test.sh` starts the server and says where it is.
"""

import os
import unittest

import redis


class PythonClientTest(unittest.TestCase):
    def setUp(self):
        self.client = redis.Redis(host="localhost", port=int(os.environ["ORRERY_PORT"]), db=0, socket_timeout=10)
        self.client.flushall()

    def tearDown(self):
        self.client.close()

    def test_the_first_example(self):
        self.assertTrue(self.client.ping())
        self.assertTrue(self.client.set("foo", "bar"))
        self.assertEqual(self.client.get("foo"), b"bar")
        self.assertIsNone(self.client.get("nothing"))
        with redis.Redis(port=int(os.environ["ORRERY_PORT"]), decode_responses=True) as text_client:
            self.assertEqual(text_client.get("foo"), "bar")

    def test_options_of_set(self):
        self.assertTrue(self.client.set("key", "1", ex=100))
        self.assertTrue(90 < self.client.ttl("key") <= 100)
        self.assertIsNone(self.client.set("key", "2", nx=True))
        self.assertEqual(self.client.set("key", "2", get=True), b"1")
        self.assertEqual(self.client.getex("key", persist=True), b"2")
        self.assertEqual(self.client.ttl("key"), -1)
        self.assertEqual(self.client.getdel("key"), b"2")
        self.assertTrue(self.client.set("key", "3", exat=4_000_000_000))
        self.assertEqual(self.client.execute_command("EXPIRETIME", "key"), 4_000_000_000)

    def test_numbers_and_bits(self):
        self.assertEqual(self.client.incrby("n", 5), 5)
        self.assertEqual(self.client.decr("n"), 4)
        self.assertAlmostEqual(self.client.incrbyfloat("n", 0.5), 4.5)
        self.assertEqual(self.client.setbit("bits", 7, 1), 0)
        self.assertEqual(self.client.bitcount("bits"), 1)
        self.assertEqual(self.client.bitpos("bits", 1), 7)
        self.assertEqual(self.client.bitfield("field").set("u8", 0, 255).incrby("u8", 0, 1).execute(), [0, 0])

    def test_many_keys(self):
        self.assertTrue(self.client.mset({f"key:{n}": n for n in range(500)}))
        self.assertEqual(self.client.mget("key:1", "key:499", "no"), [b"1", b"499", None])
        self.assertEqual(len(list(self.client.scan_iter(match="key:*", count=50))), 500)
        self.assertEqual(len(self.client.keys("key:49?")), 10)
        self.assertEqual(self.client.delete("key:1", "key:2", "no"), 2)
        self.assertEqual(self.client.exists("key:1", "key:3"), 1)
        self.assertTrue(self.client.rename("key:3", "renamed"))
        self.assertTrue(self.client.copy("renamed", "copied"))
        self.assertEqual(self.client.type("copied"), b"string")
        self.assertIn(self.client.randomkey(), self.client.keys())
        self.assertEqual(self.client.dbsize(), 499)

    def test_pipeline(self):
        pipeline = self.client.pipeline(transaction=False)
        pipeline.set("a", 1).incr("a").get("a").append("a", "x").strlen("a")
        self.assertEqual(pipeline.execute(), [True, 2, b"2", 2, 2])

    def test_dump_and_restore(self):
        self.client.set("key", b"\x00\xffvalue")
        self.assertTrue(self.client.restore("again", 0, self.client.dump("key")))
        self.assertEqual(self.client.get("again"), b"\x00\xffvalue")
        with self.assertRaises(redis.ResponseError):
            self.client.restore("again", 0, self.client.dump("key"))

    def test_the_server(self):
        self.assertEqual(self.client.info()["redis_version"], "7.0.15")
        self.assertGreater(self.client.info("memory")["used_memory_rss"], 100_000)
        self.assertEqual(self.client.config_get("maxmemory"), {"maxmemory": "0"})
        self.assertEqual(len(self.client.time()), 2)
        self.assertTrue(self.client.client_setname("me"))
        self.assertEqual(self.client.client_getname(), "me")
        mine = [line for line in self.client.client_list() if line["name"] == "me"]
        self.assertEqual(len(mine), 1)
        self.assertEqual(mine[0]["id"], str(self.client.client_id()))
        self.assertEqual(self.client.command_count(), len(self.client.command()))
        self.assertEqual(self.client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
        self.assertEqual(self.client.object("encoding", "nothing"), None)
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.client.execute_command("NOSUCH")


if __name__ == "__main__":
    unittest.main()
