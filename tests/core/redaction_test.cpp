#include "extension/core/redaction.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {
namespace {

const std::string kCredential = "[REDACTED:CREDENTIAL]";

void stays(const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    EXPECT_EQ(redacted(text), text);
}

// What the text becomes with the mark in the place of `secret`.
void hides(const std::string& before, const std::string& secret, const std::string& after,
           const std::string& mark) {
  EXPECT_EQ(redacted(before + secret + after), before + mark + after) << secret;
}

TEST(Redaction, FindsSocialSecurityNumbers) {
  for (const char* number : {"123-45-6789", "123 45 6789", "899-99-9999", "001-01-0001",
                             "123\xe2\x80\x91"
                             "45\xe2\x80\x91"
                             "6789"})
    hides("My number, ", number, ", is secret.", "[REDACTED:SSN]");
  hides("SSN: ", "123456789", ".", "[REDACTED:SSN]");
  hides("social security number is ", "123456789", "", "[REDACTED:SSN]");
  hides("{\"ssn\":\"", "123456789", "\"}", "[REDACTED:SSN]");
}

TEST(Redaction, LeavesWhatIsNoSocialSecurityNumber) {
  stays({"000-45-6789", "666-45-6789", "900-45-6789", "123-00-6789", "123-45-0000", "1123-45-6789",
         "123-45-67890", "123-45-678", "12-345-6789", "order 123456789", "2024-01-15",
         "X123-45-6789", "99-123-45-6789", "123-45-6789-01", "version 1.123-45-6789"});
}

TEST(Redaction, FindsCards) {
  for (const char* card :
       {"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005",
        "3782 822463 10005", "5555555555554444", "2223003122003222", "6011111111111117",
        "30569309025904", "3566002020360505", "4222222222222", "6304000000000000",
        "4111\xc2\xa0"
        "1111\xc2\xa0"
        "1111\xc2\xa0"
        "1111"})
    hides("Pay with ", card, ", please", "[REDACTED:CARD]");
  hides("card:", "4111111111111111", "", "[REDACTED:CARD]");
  hides("{\"text\":\"now\\n", "4111111111111111", "\"}", "[REDACTED:CARD]");
  EXPECT_EQ(redacted("4111 1111 1111 1111 5555 5555 5555 4444"), "[REDACTED:CARD] [REDACTED:CARD]");
}

TEST(Redaction, LeavesWhatIsNoCard) {
  stays({"4111111111111112", "4111 1111 1111 1112", "1234567812345670", "7111111111111119",
         "411111111111111", "41111111111111111111", "0.4111111111111111", "4111111111111111.5",
         "a4111111111111111", "4111111111111111b", "20240115123045", "1700000000000",
         "99411111 11111111 1"});
}

TEST(Redaction, FindsEmailAddresses) {
  for (const char* address :
       {"ada@example.com", "Ada.Lovelace+notes@mail.example.co.uk", "a_b%c-d@x-y.org",
        "m\xc3\xbcller@b\xc3\xbc"
        "cher.example"})
    hides("Write to <", address, ">.", "[REDACTED:EMAIL]");
  hides("Ask ", "ada@example.com", ". Soon.", "[REDACTED:EMAIL]");
  hides("mailto:", "ada@example.com", "?subject=x", "[REDACTED:EMAIL]");
  hides("\xe8\xaf\xb7\xe8\x81\x94\xe7\xb3\xbb", "a@b.cn", "\xe8\xb0\xa2", "[REDACTED:EMAIL]");
  EXPECT_EQ(redacted("a@b.com,c@d.org"), "[REDACTED:EMAIL],[REDACTED:EMAIL]");
}

TEST(Redaction, LeavesWhatIsNoAddress) {
  stays({"@decorator", "3 @ 5", "user@localhost", "a@b", "a@.com", "a@b.c", "a@b.1", "@", "a@",
         "@b.com", "x = y@z", "a@b..com"});
}

TEST(Redaction, FindsPhones) {
  for (const char* phone :
       {"555-123-4567", "(555) 123-4567", "(555)123-4567", "555.123.4567", "555 123 4567",
        "+1 555 123 4567", "+1-555-123-4567", "1-800-555-1234", "+15551234567", "+49 30 1234567",
        "+44 (0)20 7946 0958", "+33612345678"})
    hides("Ring ", phone, " now", "[REDACTED:PHONE]");
  hides("phone: ", "5551234567", "", "[REDACTED:PHONE]");
  hides("{\"phoneNumber\":\"", "5551234567", "\"}", "[REDACTED:PHONE]");
  hides("{\"a\":\"\\n", "555-123-4567", "\"}", "[REDACTED:PHONE]");
  hides("(", "+49 30 1234567", ")", "[REDACTED:PHONE]");
}

TEST(Redaction, FindsANumberRightBehindAnother) {
  EXPECT_EQ(redacted("+49 30 1234567-123-+49 30 1234567-123"), "[REDACTED:PHONE]-[REDACTED:PHONE]");
}

TEST(Redaction, LeavesWhatIsNoPhone) {
  stays({"5551234567", "155-123-4567", "555-023-4567", "2024-01-15", "192.168.100.200", "10.0.0.1",
         "555-123-45678", "1555-12-4567", "+1234", "1e+30000000000", "id 12-555-123-4567",
         "call id5551234567", "1700000000", "555-1234"});
}

// One of each provider, as its keys look.
TEST(Redaction, FindsKeysOfAllProviders) {
  const std::string small = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
  const std::string mixed = "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA";
  const std::vector<std::string> with_prefix = {
      "sk-" + mixed + "Tt3BlbkFJ" + mixed.substr(0, 7),           // openai
      "sk-proj-" + mixed + "_" + mixed + "-" + mixed,             // openai
      "sk-ant-api03-" + mixed + "-" + mixed + "_" + mixed + "AA", // anthropic
      "AIzaSy" + mixed + "c",                                     // gemini
      "gsk_" + mixed + mixed.substr(0, 20),                       // groq
      "pplx-" + small.substr(0, 48),                              // perplexity
      "tgp_v1_" + mixed + "-abcdefghi",                           // together
      "sk-or-v1-" + small,                                        // openrouter
      "hf_" + small.substr(0, 32) + "_" + mixed + "abcdefghijk"}; // Holdfast's own
  for (const std::string& key : with_prefix) {
    hides("use ", key, " for it", kCredential);
    hides("OPENAI_API_KEY=", key, "\n", kCredential);
    hides("{\"a\":\"\\n", key, "\"}", kCredential);
  }
  // Those of mistral, deepinfra and cohere have no prefix but a shape; together's old ones look
  // like a hash, and are found by what the text says of them.
  for (const std::string& key : {mixed, mixed + "bC4dE7fG"}) {
    hides("use ", key, " for it", kCredential);
    hides("{\"key\":\"\\n", key, "\"}", kCredential);
  }
  for (const char* context : {"TOGETHER_API_KEY=", "api key: ", "Authorization: Bearer ",
                              "{\"apiKey\":\"", "my together secret is "})
    hides(context, small, "", kCredential);
  hides("MISTRAL_API_KEY=", small.substr(0, 32), "", kCredential);
  hides("COHERE_API_KEY: ", small.substr(0, 40), "", kCredential);
}

TEST(Redaction, LeavesWhatIsNoKey) {
  const std::string hex = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
  stays({"commit " + hex.substr(0, 40), "sha256 " + hex, "md5 " + hex.substr(0, 32),
         "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "sk-learn", "sk-short1",
         "class sk-circle-fade-dot-spinner-large", "AIzaShort", "gsk_", "key: value",
         "donkey " + hex, "key [1] " + hex, "task-0123456789-abcdefghijklm",
         "abcdefghijklmnopqrstuvwxyzabcdef",
         "/" + std::string("aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA")});
}

TEST(Redaction, TellsKindsApart) {
  EXPECT_EQ(redacted("ada@example.com, 123-45-6789, 4111 1111 1111 1111, 555-123-4567"),
            "[REDACTED:EMAIL], [REDACTED:SSN], [REDACTED:CARD], [REDACTED:PHONE]");
}

TEST(Redaction, KeepsJsonAndUtf8) {
  EXPECT_EQ(redacted("{\"a\":\"\\u00e4ada@example.com\"}"), "{\"a\":\"\\u00e4[REDACTED:EMAIL]\"}");
  EXPECT_EQ(redacted("{\"a\":\"\\nada@example.com\"}"), "{\"a\":\"\\n[REDACTED:EMAIL]\"}");
  EXPECT_EQ(redacted("DOMAIN\\user@example.com"), "DOMAIN\\[REDACTED:EMAIL]");
  stays({"", "gr\xc3\xbc\xc3\x9f", "\xff\xfe", std::string("a\0b", 3)});
}

// Twice as much text is looked at twice as often, whatever it is made of.
TEST(Redaction, TakesLinearWork) {
  const std::vector<std::string> hostile = {"a",
                                            "1",
                                            "@",
                                            "a@",
                                            "a.a@",
                                            "@a.a",
                                            "a@a.",
                                            "sk-",
                                            "sk-a",
                                            "1 ",
                                            "1-",
                                            "1234 ",
                                            "4000 ",
                                            "4-",
                                            "+1",
                                            "+2(",
                                            "(5",
                                            "+49 3",
                                            "555-1",
                                            "key ",
                                            "\\n",
                                            "\\u00",
                                            "a@b.c",
                                            "4111111111",
                                            "ssn 12",
                                            "\xc3",
                                            "\xc3\xa4",
                                            "\xc2\xa0",
                                            "\xe2\x80\x91",
                                            "key aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA ",
                                            "tel 5551234567 "};
  const auto work = [](const std::string& piece, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes)
      text += piece;
    std::uint64_t looks = 0;
    redacted(text, &looks);
    return looks;
  };
  for (const std::string& piece : hostile) {
    const std::uint64_t once = work(piece, 20'000);
    const std::uint64_t twice = work(piece, 40'000);
    EXPECT_LE(twice, 2 * once + 2'000) << piece;
    EXPECT_LE(once, 20'000U * 100) << piece;
  }
}

TEST(Redaction, ChangesNothingTheSecondTime) {
  for (const char* text :
       {"ada@example.com 123-45-6789 ssn 123456789 phone 5551234567 4111111111111111",
        "key sk-0123-4567-89ab-cdef-ghij 0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "123-45-6789-555-123-4567", "4111111111111111.555-123-4567", "+49 30 123456+49 30 1234567",
        "a@b.com5551234567", "a@b.4111111111111111"}) {
    const std::string once = redacted(text);
    EXPECT_EQ(redacted(once), once);
  }
}

} // namespace
} // namespace holdfast
