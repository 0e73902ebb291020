#include "extension/core/input_text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

TEST(InputText, TellsWellFormedUtf8) {
  for (const char* text : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                           "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* text :
       {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xff", "\xc3("})
    EXPECT_FALSE(is_utf8(text)) << text;
}

TEST(InputText, TakesNulAndByteOrderMarkOut) {
  EXPECT_EQ(without_nul(std::string("a\0b\0", 4)), "ab");
  EXPECT_EQ(normalized_input(std::string("\xef\xbb\xbf\0a\0b", 7)), "ab");
  EXPECT_EQ(normalized_input("a\xef\xbb\xbf"), "a\xef\xbb\xbf");
}

TEST(InputText, EndsLinesInOneWay) {
  EXPECT_EQ(normalized_input("a\r\nb\rc\nd"), "a\nb\nc\nd");
  EXPECT_EQ(normalized_input("a \t\r\n  b  \n\n\nc"), "a\n  b\n\n\nc");
}

TEST(InputText, TakesEmptyLinesOffBothEnds) {
  EXPECT_EQ(normalized_input("\n \r\n  a  b\n\t\n\n"), "  a  b");
  EXPECT_EQ(normalized_input(" \n\t"), "");
  EXPECT_EQ(normalized_input(""), "");
}

TEST(InputText, LeavesCodeAsItIs) {
  const std::string code = "```diff\r\n- a  \r\n\r\n+ a\t\r\n```";
  EXPECT_EQ(normalized_input("See:  \r\n" + code + "  \r\nend  "),
            "See:\n```diff\n- a  \r\n\r\n+ a\t\r\n```\nend");
  EXPECT_EQ(normalized_input("~~~\na  \n```\n~~~  \nb  "), "~~~\na  \n```\n~~~\nb");
  EXPECT_EQ(normalized_input("````\na  \n```\nb  \n````\nc  "), "````\na  \n```\nb  \n````\nc");
  EXPECT_EQ(normalized_input("```\nnot closed  \n\n"), "```\nnot closed  \n\n");
}

TEST(InputText, IsTheSameTheSecondTime) {
  for (const char* text : {"a \r\n", "\n```\n x \n", "\xef\xbb\xbf a", "a\n ~~~\n~~~ \n\n"}) {
    const std::string once = normalized_input(text);
    EXPECT_EQ(normalized_input(once), once);
  }
}

} // namespace
} // namespace holdfast
