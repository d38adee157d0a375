// The path of the media is lost, and comes back later: everybody finds each other again, by themselves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MANY_CAMERAS, depart, enter, healthy, hosting, inMeeting, launch, person, picture, sees, tile, until } from "./browser.mjs";
import { Relay } from "./relay.mjs";

const { TURN_PORT, TURN_USERNAME, TURN_PASSWORD } = process.env;
// How long there is no path, beyond the moment when both sides know: a few seconds here, minutes in make walk.
const WITHOUT_S = (process.env.WITHOUT_PATH_S ?? "0").split(",").map(Number);

/** Over the relay or not at all, as behind two firewalls. */
function onlyOverRelay(context) {
  return context.addInitScript(() => {
    const Connection = window.RTCPeerConnection;
    window.offers = 0;
    window.RTCPeerConnection = class extends Connection {
      constructor(configuration) {
        super({ ...configuration, iceTransportPolicy: "relay" });
        this.addEventListener("signalingstatechange", () => (window.offers += this.signalingState === "have-local-offer" ? 1 : 0));
      }
    };
  });
}

test("no path for a while", { timeout: 900_000 }, async () => {
  const relay = new Relay({ port: TURN_PORT, username: TURN_USERNAME, password: TURN_PASSWORD });
  const browser = await launch([], MANY_CAMERAS);
  try {
    await relay.start();
    const { page: hanna, code } = await hosting(browser, {}, onlyOverRelay);
    const gus = await person(browser);
    await onlyOverRelay(gus.context());
    await enter(gus, code, "Gus");
    await inMeeting(gus);
    await Promise.all([sees(hanna, "Gus"), sees(gus, "Hanna Host")]);

    for (const seconds of WITHOUT_S) {
      const before = await gus.evaluate(() => window.offers);
      await relay.kill();
      // Both notice; and it has been tried for nothing, more than once, before there is a relay again.
      await Promise.all([tile(hanna, "Gus", "no connection to them"), tile(gus, "Hanna Host", "no connection to them")]);
      await picture(hanna, "no-path");
      await until(gus, (before) => window.offers >= before + 2, before);
      await pause(1_000 * seconds);
      await relay.start();
      await Promise.all([sees(hanna, "Gus"), sees(gus, "Hanna Host")]);
    }

    // By hand it goes at once, without the pause.
    await relay.kill();
    await tile(gus, "Hanna Host", "no connection to them");
    await relay.start();
    await gus.locator('.tile[data-person="Hanna Host"]').getByRole("button", { name: "Try again" }).click();
    await Promise.all([sees(hanna, "Gus"), sees(gus, "Hanna Host")]);
    assert.equal(await gus.getByRole("button", { name: "Try again" }).count(), 0);
    healthy(hanna, gus);
    await depart(hanna, gus);
  } finally {
    await browser.close();
    await relay.kill();
  }
});
