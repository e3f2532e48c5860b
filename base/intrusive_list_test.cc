// A list that loses or doubles an element loses or doubles a connection's turn.
#include "base/intrusive_list.h"

#include <array>
#include <cstdint>
#include <list>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery {
namespace {

struct Element {
  int value = 0;
  ListLink first_link;
  ListLink second_link;
};

using List = IntrusiveList<Element, &Element::first_link>;
using OtherList = IntrusiveList<Element, &Element::second_link>;

TEST(IntrusiveList, KeepsOrder) {
  std::array<Element, 3> elements;
  List list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.PopFront(), nullptr);
  for (Element& element : elements) list.PushBack(element);
  EXPECT_EQ(list.size(), 3U);
  for (Element& element : elements) EXPECT_EQ(list.PopFront(), &element);
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, RemovesFromAnywhere) {
  std::array<Element, 4> elements;
  List list;
  for (Element& element : elements) list.PushBack(element);
  list.Remove(elements[1]);  // The middle,
  list.Remove(elements[3]);  // the end
  list.Remove(elements[0]);  // and the front.
  EXPECT_FALSE(elements[1].first_link.linked());
  EXPECT_EQ(list.PopFront(), &elements[2]);
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, NextWalksToTheEnd) {
  std::array<Element, 4> elements;
  List list;
  for (Element& element : elements) list.PushBack(element);
  list.Remove(elements[1]);
  EXPECT_EQ(list.Next(elements[0]), &elements[2]);
  EXPECT_EQ(list.Next(elements[2]), &elements[3]);
  EXPECT_EQ(list.Next(elements[3]), nullptr);
  // What is pushed during a walk is walked, too.
  list.PushBack(elements[1]);
  EXPECT_EQ(list.Next(elements[3]), &elements[1]);
  EXPECT_EQ(list.Next(elements[1]), nullptr);
}

TEST(IntrusiveList, NextFollowsTheLinkOfItsOwnList) {
  std::array<Element, 2> elements;
  List list;
  OtherList other;
  for (Element& element : elements) list.PushBack(element);
  other.PushBack(elements[1]);
  other.PushBack(elements[0]);
  EXPECT_EQ(list.Next(elements[0]), &elements[1]);
  EXPECT_EQ(list.Next(elements[1]), nullptr);
  EXPECT_EQ(other.Next(elements[1]), &elements[0]);
  EXPECT_EQ(other.Next(elements[0]), nullptr);
}

TEST(IntrusiveList, OneElementInTwoListsByTwoLinks) {
  Element element;
  List list;
  OtherList other;
  list.PushBack(element);
  other.PushBack(element);
  list.Remove(element);
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(other.front(), &element);
  other.Clear();
  EXPECT_FALSE(element.second_link.linked());
}

TEST(IntrusiveList, LetsItsElementsGoWhenItDies) {
  Element element;
  {
    List list;
    list.PushBack(element);
  }
  EXPECT_FALSE(element.first_link.linked());
}

TEST(IntrusiveListDeathTest, MistakesEndTheProcess) {
  Element element;
  List list;
  EXPECT_DEATH(list.Remove(element), "linked");
  list.PushBack(element);
  EXPECT_DEATH(list.PushBack(element), "linked");
  EXPECT_DEATH(
      {
        Element dying;
        list.PushBack(dying);
      },
      "died while it was in a list");
}

RC_GTEST_PROP(IntrusiveList, AgreesWithStdList, (const std::vector<uint8_t>& steps)) {
  std::array<Element, 16> elements;
  std::list<Element*> expected;
  {
    List list;
    for (const uint8_t step : steps) {
      Element& element = elements[step % elements.size()];
      if (!element.first_link.linked()) {
        list.PushBack(element);
        expected.push_back(&element);
      } else if (step < 128) {
        list.Remove(element);
        expected.remove(&element);
      } else {
        RC_ASSERT(list.PopFront() == expected.front());
        expected.pop_front();
      }
      RC_ASSERT(list.size() == expected.size());
      RC_ASSERT(list.empty() == expected.empty());
      RC_ASSERT(list.front() == (expected.empty() ? nullptr : expected.front()));
      const Element* walked = list.front();
      for (Element* wanted : expected) {
        RC_ASSERT(walked == wanted);
        walked = list.Next(*wanted);
      }
      RC_ASSERT(walked == nullptr);
    }
    while (!expected.empty()) {
      RC_ASSERT(list.PopFront() == expected.front());
      expected.pop_front();
    }
    RC_ASSERT(list.empty());
  }
}

}  // namespace
}  // namespace orrery
