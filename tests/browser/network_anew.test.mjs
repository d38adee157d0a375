// The network fails where no place is held: the page joins anew by itself, and everybody sees everybody again.
import { test } from "node:test";
import { URL_OF_SERVER, control, enter, gone, guest, healthy, hosting, inMeeting, launch, person, says, sees, tile } from "./browser.mjs";
import { Network } from "./network.mjs";

test("cut and back: joined anew", async () => {
  const browser = await launch();
  const network = await Network.to(URL_OF_SERVER);
  try {
    const { page: hanna, code } = await hosting(browser);
    const kai = await guest(browser, code, "Kai");
    const gus = await person(browser);
    await enter(gus, code, "Gus", network.url);
    await inMeeting(gus);
    await sees(gus, "Hanna Host");
    await control(gus, "Mute");
    await control(gus, "Raise hand");
    await tile(hanna, "Gus", "hand raised");

    network.cut();
    await gone(hanna, "Gus");
    await control(hanna, "Chat");
    await hanna.getByLabel("Message", { exact: true }).fill("He is gone");
    await hanna.keyboard.press("Enter");
    network.mend();
    await says(gus, "You are back in the meeting.");
    await tile(hanna, "Gus", "muted, hand raised");
    await Promise.all([sees(gus, "Hanna Host"), sees(gus, "Kai"), sees(hanna, "Gus"), sees(kai, "Gus"), sees(kai, "Hanna Host")]);
    await control(gus, "Chat");
    await says(gus, "He is gone");
    healthy(hanna, gus, kai);
  } finally {
    await browser.close();
    network.close();
  }
});
